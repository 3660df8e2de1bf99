
/*
 * ATLS with mbedTLS 2.28 (TLS 1.2 only), or 3.6.5 or later (also TLS 1.3): send
 * and receive functions instead of a socket.
 *
 *     cc -o mbedtls mbedtls.c -lmbedtls -lmbedx509 -lmbedcrypto
 */


#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

#include "session.h"


static mbedtls_entropy_context   entropy;
static mbedtls_ctr_drbg_context  random_bytes;
static mbedtls_x509_crt          trust;
static mbedtls_ssl_config        config;
static mbedtls_ssl_context       ssl;
static mbedtls_ssl_session       ticket;
static int                       verified;      /* a certificate was verified */
static int                       resuming;
static int                       dry;           /* end of the response */

static unsigned char             exported[EXPORTED];


static void
must(int rc, const char *what)
{
    char  text[128];

    if (rc < 0) {
        mbedtls_strerror(rc, text, sizeof(text));
        die("TLS: %s: %s", what, text);
    }
}


#if MBEDTLS_VERSION_MAJOR < 3

/*
 * mbedTLS 2.28 has no function for RFC 5705, but this callback receives the
 * master secret of the handshake.  There is no context.
 */

static int
export_keys(void *data, const unsigned char *master, const unsigned char *block,
    size_t mac_len, size_t key_len, size_t iv_len,
    const unsigned char client_random[32],
    const unsigned char server_random[32], mbedtls_tls_prf_types prf)
{
    unsigned char  seed[64];

    (void) data;
    (void) block;
    (void) mac_len;
    (void) key_len;
    (void) iv_len;

    memcpy(seed, client_random, 32);
    memcpy(seed + 32, server_random, 32);

    return mbedtls_ssl_tls_prf(prf, master, 48, options.label, seed,
                               sizeof(seed), exported, EXPORTED);
}

#endif


/* Called for the full handshake only: detects resumption. */

static int
verify(void *data, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    (void) data;
    (void) crt;
    (void) depth;
    (void) flags;

    verified = 1;               /* errors are in flags */

    return 0;
}


static void
set_versions(void)
{
#if MBEDTLS_VERSION_MAJOR >= 3

    mbedtls_ssl_conf_min_tls_version(&config, options.version == 13
                                     ? MBEDTLS_SSL_VERSION_TLS1_3
                                     : MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(&config, options.version == 12
                                     ? MBEDTLS_SSL_VERSION_TLS1_2
                                     : MBEDTLS_SSL_VERSION_TLS1_3);

    /* let mbedtls_ssl_read() report tickets, sent after the handshake */

    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &config, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);

    psa_crypto_init();          /* required for TLS 1.3 */

#else

    mbedtls_ssl_conf_min_version(&config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
    if (options.label) {
        mbedtls_ssl_conf_export_keys_ext_cb(&config, export_keys, NULL);
    }

#endif
}


static void
make_config(void)
{
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random_bytes);
    mbedtls_x509_crt_init(&trust);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_session_init(&ticket);

    must(mbedtls_ctr_drbg_seed(&random_bytes, mbedtls_entropy_func, &entropy,
                               NULL, 0),
         "random numbers");
    must(mbedtls_x509_crt_parse_file(&trust, options.ca), options.ca);
    must(mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT,
                                     MBEDTLS_SSL_TRANSPORT_STREAM,
                                     MBEDTLS_SSL_PRESET_DEFAULT),
         "configuration");

    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random_bytes);
    set_versions();

    /* a proxy may terminate the outer TLS: only this verification counts */

    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&config, &trust, NULL);
    mbedtls_ssl_conf_verify(&config, verify, NULL);

    if (options.identity) {
        must(mbedtls_ssl_conf_psk(&config, options.key, options.key_len,
                                  (unsigned char *) options.identity,
                                  strlen(options.identity)),
             "pre-shared key");
    }
}


/* TLS output: collected for the next POST. */

static int
write_records(void *p, const unsigned char *data, size_t len)
{
    post_add(p, data, len);

    return (int) len;
}


/* TLS input: the POST's response.  Its end is not the end of the session. */

static int
read_records(void *p, unsigned char *buf, size_t size)
{
    size_t  n;

    n = post_read(p, (char *) buf, size);
    dry = n == 0;

    return n ? (int) n : MBEDTLS_ERR_SSL_WANT_READ;
}


static void
begin(int resume)
{
    verified = 0;
    resuming = resume;

    mbedtls_ssl_init(&ssl);
    must(mbedtls_ssl_setup(&ssl, &config), "session");
    must(mbedtls_ssl_set_hostname(&ssl, options.name), "name");
    mbedtls_ssl_set_bio(&ssl, &post, write_records, read_records, NULL);

    if (resume) {
        must(mbedtls_ssl_set_session(&ssl, &ticket), "ticket");
    }
}


static void
keep_ticket(void)
{
    mbedtls_ssl_session_free(&ticket);
    mbedtls_ssl_session_init(&ticket);

    must(mbedtls_ssl_get_session(&ssl, &ticket), "ticket");
}


/* Sends the alert that TLS may have written: the server closes the session. */

static void
failed(const char *what, int rc)
{
    char  text[512];

    post_send(&post);

    if (rc == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
        mbedtls_x509_crt_verify_info(text, sizeof(text), "",
                                     mbedtls_ssl_get_verify_result(&ssl));
        die("TLS: %s: %s", what, text);
    }

    must(rc, what);
}


static void
handshake(void)
{
    int  rc;

    while ((rc = mbedtls_ssl_handshake(&ssl)) != 0) {

        if (rc != MBEDTLS_ERR_SSL_WANT_READ) {
            failed("handshake", rc);
        }

        /* read the response before the next POST: a flight may be in pieces */

        if (dry && !post_send(&post)) {
            die("TLS: the server's flight is not complete");
        }
    }

    if (strcmp(mbedtls_ssl_get_version(&ssl), "TLSv1.2") == 0) {
        keep_ticket();
    }
}


/* Returns 0 at the end of the POST's response, or of the session. */

static size_t
read_plaintext(void *from, char *buf, size_t size)
{
    int  n, *closed = from;

    while ((n = mbedtls_ssl_read(&ssl, (unsigned char *) buf, size)) < 0) {

#if MBEDTLS_VERSION_MAJOR >= 3
        if (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            keep_ticket();
            continue;
        }
#endif

        /* also returned after a ticket, when more data follow */

        if (n == MBEDTLS_ERR_SSL_WANT_READ) {
            if (dry) {
                return 0;
            }

            continue;
        }

        if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
            *closed = 1;
            return 0;
        }

        failed("reading", n);
    }

    return (size_t) n;
}


static void
write_plaintext(const char *data, int len)
{
    /* less than a record is written at once */

    must(mbedtls_ssl_write(&ssl, (const unsigned char *) data, (size_t) len),
         "writing");
    post_send(&post);
}


static void
close_session(void)
{
    must(mbedtls_ssl_close_notify(&ssl), "close_notify");
    post_send(&post);
}


static void
export_key(unsigned char *material)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    must(mbedtls_ssl_export_keying_material(&ssl, exported, EXPORTED,
                                            options.label,
                                            strlen(options.label), NULL, 0, 0),
         "exporter");
#endif

    memcpy(material, exported, EXPORTED);
}


static const char *
version(void)
{
    return mbedtls_ssl_get_version(&ssl);
}


static int
resumed(void)
{
    return resuming && !verified;
}


static void
end(void)
{
    mbedtls_ssl_free(&ssl);
}


static const tls_t  tls = {
    begin, handshake, write_plaintext, read_plaintext, close_session,
    export_key, version, resumed, end
};


int
main(int argc, char **argv)
{
    options_read(argc, argv);

    if (options.version == 13 && MBEDTLS_VERSION_MAJOR < 3) {
        fprintf(stderr, "mbedTLS 2.28 does not have TLS 1.3\n");
        return 2;
    }

    make_config();

    session_run(&tls);

    mbedtls_ssl_session_free(&ticket);
    mbedtls_ssl_config_free(&config);
    mbedtls_x509_crt_free(&trust);
    mbedtls_ctr_drbg_free(&random_bytes);
    mbedtls_entropy_free(&entropy);

    return 0;
}
