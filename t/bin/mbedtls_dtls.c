
/*
 * A DTLS client with mbedTLS, over UDP: sends a request to 127.0.0.1, prints
 * the response, and exits.  If it is not complete in time, the request is sent
 * again.
 *
 *     mbedtls_dtls PORT PATH SUITE ca FILE
 *     mbedtls_dtls PORT PATH SUITE IDENTITY KEY
 *
 * SUITE is a name of mbedTLS, KEY has 16 bytes in hex.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/timing.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif


#define TRIES  20


static mbedtls_entropy_context       entropy;
static mbedtls_ctr_drbg_context      random_bytes;
static mbedtls_x509_crt              trust;
static mbedtls_ssl_config            config;
static mbedtls_ssl_context           ssl;
static mbedtls_net_context           net;
static mbedtls_timing_delay_context  timer;


static int
must(int rc, const char *what)
{
    char  text[128];

    if (rc < 0) {
        mbedtls_strerror(rc, text, sizeof(text));
        fprintf(stderr, "%s: %s\n", what, text);
        exit(1);
    }

    return rc;
}


static void
set_key(const char *identity, const char *hex)
{
    size_t         i;
    unsigned       byte;
    unsigned char  key[16];

    for (i = 0; i < sizeof(key); i++) {
        byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        key[i] = (unsigned char) byte;
    }

    must(mbedtls_ssl_conf_psk(&config, key, sizeof(key),
                              (const unsigned char *) identity,
                              strlen(identity)),
         "pre-shared key");
}


static void
make_config(const char *suite, const char *identity, const char *value)
{
    static int  suites[2];

    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random_bytes);
    mbedtls_x509_crt_init(&trust);
    mbedtls_ssl_config_init(&config);

    must(mbedtls_ctr_drbg_seed(&random_bytes, mbedtls_entropy_func, &entropy,
                               NULL, 0),
         "random numbers");
    must(mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT,
                                     MBEDTLS_SSL_TRANSPORT_DATAGRAM,
                                     MBEDTLS_SSL_PRESET_DEFAULT),
         "configuration");

#if MBEDTLS_VERSION_MAJOR >= 3
    psa_crypto_init();
    mbedtls_ssl_conf_max_tls_version(&config, MBEDTLS_SSL_VERSION_TLS1_2);
#endif

    suites[0] = mbedtls_ssl_get_ciphersuite_id(suite);
    mbedtls_ssl_conf_ciphersuites(&config, suites);
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random_bytes);

    /* it fails with the maximum: a flight is sent nine times */

    mbedtls_ssl_conf_handshake_timeout(&config, 200, 30000);
    mbedtls_ssl_conf_read_timeout(&config, 500);

    if (strcmp(identity, "ca") == 0) {
        must(mbedtls_x509_crt_parse_file(&trust, value), value);
        mbedtls_ssl_conf_ca_chain(&config, &trust, NULL);
        mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);

        /* a device has small buffers */

        must(mbedtls_ssl_conf_max_frag_len(&config,
                                           MBEDTLS_SSL_MAX_FRAG_LEN_512),
             "maximum fragment length");

    } else {
        set_key(identity, value);
    }
}


static void
establish(const char *port)
{
    int  rc;

    mbedtls_net_init(&net);
    mbedtls_ssl_init(&ssl);

    must(mbedtls_net_connect(&net, "127.0.0.1", port, MBEDTLS_NET_PROTO_UDP),
         "connect");
    must(mbedtls_ssl_setup(&ssl, &config), "session");
    must(mbedtls_ssl_set_hostname(&ssl, "localhost"), "name");

    mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv,
                        mbedtls_net_recv_timeout);
    mbedtls_ssl_set_timer_cb(&ssl, &timer, mbedtls_timing_set_delay,
                             mbedtls_timing_get_delay);

    do {
        rc = mbedtls_ssl_handshake(&ssl);

    } while (rc == MBEDTLS_ERR_SSL_WANT_READ
             || rc == MBEDTLS_ERR_SSL_WANT_WRITE);

    must(rc, "handshake");
}


/* Whether a response is complete: it has a Content-Length. */

static int
complete(const char *response)
{
    const char  *body, *length;

    body = strstr(response, "\r\n\r\n");
    length = strstr(response, "Content-Length: ");

    return body && length
           && strlen(body + 4) >= (size_t) atoi(length + 16);
}


/* Prints the response, if all of its records have come. */

static int
receive(void)
{
    int          n;
    size_t       have;
    static char  buf[8192];

    for (have = 0; !complete(buf); have += (size_t) n) {

        n = mbedtls_ssl_read(&ssl, (unsigned char *) buf + have,
                             sizeof(buf) - 1 - have);

        if (n == MBEDTLS_ERR_SSL_TIMEOUT) {
            return 0;
        }

        n = (n == MBEDTLS_ERR_SSL_WANT_READ) ? 0 : must(n, "reading");
        buf[have + (size_t) n] = '\0';
    }

    printf("%s", buf);

    return 1;
}


int
main(int argc, char **argv)
{
    int   n, i;
    char  request[256];

    if (argc != 6) {
        return 2;
    }

    make_config(argv[3], argv[4], argv[5]);
    establish(argv[1]);

    printf("%s %s\n", mbedtls_ssl_get_version(&ssl),
           mbedtls_ssl_get_ciphersuite(&ssl));

    for (i = 0; i < TRIES; i++) {
        n = snprintf(request, sizeof(request),
                     "GET %s-%d HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[2],
                     i);

        must(mbedtls_ssl_write(&ssl, (unsigned char *) request, (size_t) n),
             "writing");

        if (receive()) {
            break;
        }
    }

    mbedtls_ssl_close_notify(&ssl);
    mbedtls_ssl_free(&ssl);
    mbedtls_net_free(&net);
    mbedtls_ssl_config_free(&config);
    mbedtls_x509_crt_free(&trust);
    mbedtls_ctr_drbg_free(&random_bytes);
    mbedtls_entropy_free(&entropy);

    return i == TRIES;
}
