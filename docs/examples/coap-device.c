
/*
 * A device: TLS of mbedTLS, carried to a gateway by CoAP of libcoap.  Sends a
 * GET request for PATH to HOST, and prints the response.
 *
 *     cc -o coap-device coap-device.c -lcoap-3-notls -lmbedtls -lmbedx509 \
 *         -lmbedcrypto
 *     ./coap-device GATEWAY PORT CA-FILE HOST PATH
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netdb.h>

#include <coap3/coap.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif


#define CONTENT_FORMAT  65000
#define WAIT            60000           /* milliseconds */
#define BUFFER          65536           /* of a POST, or of its response */


typedef struct {
    unsigned char   data[BUFFER];
    size_t          n;
    size_t          read;
} buffer_t;


static coap_context_t  *context;
static coap_session_t  *session;        /* of CoAP */

static coap_optlist_t  *path;           /* of the session of TLS */
static buffer_t         out;            /* to be sent */
static buffer_t         in;             /* received, and not read by TLS */
static int              code;           /* of the response; 0: none yet */


static void
die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}


static void
add_path(coap_optlist_t **list, const void *segment, size_t n)
{
    if (!coap_insert_optlist(list, coap_new_optlist(COAP_OPTION_URI_PATH, n,
                                                    segment)))
    {
        die("out of memory");
    }
}


/* Location-Path of the first response is the path of later requests. */

static void
follow(const coap_pdu_t *pdu)
{
    coap_opt_t           *option;
    coap_optlist_t       *list;
    coap_opt_filter_t     filter;
    coap_opt_iterator_t   iterator;

    list = NULL;

    coap_option_filter_clear(&filter);
    coap_option_filter_set(&filter, COAP_OPTION_LOCATION_PATH);
    coap_option_iterator_init(pdu, &iterator, &filter);

    while ((option = coap_option_next(&iterator))) {
        add_path(&list, coap_opt_value(option), coap_opt_length(option));
    }

    coap_delete_optlist(path);
    path = list;
}


/* libcoap has put together the blocks of the response. */

static coap_response_t
received(coap_session_t *from, const coap_pdu_t *sent, const coap_pdu_t *pdu,
    const coap_mid_t mid)
{
    size_t          n, offset, total;
    const uint8_t  *data;

    (void) from;
    (void) sent;
    (void) mid;

    code = coap_pdu_get_code(pdu);

    if (code == COAP_RESPONSE_CODE(201)) {
        follow(pdu);
    }

    if (coap_get_data_large(pdu, &n, &data, &offset, &total)) {

        if (n > BUFFER) {
            die("the response is too large");
        }

        memcpy(in.data, data, n);
        in.n = n;
        in.read = 0;
    }

    return COAP_RESPONSE_OK;
}


/* Sends what TLS has written, and waits for the response. */

static void
post(void)
{
    int              waited;
    size_t           n;
    uint8_t          token[8], format[4];
    coap_pdu_t      *pdu;
    coap_optlist_t  *options, *segment;

    pdu = coap_new_pdu(COAP_MESSAGE_CON, COAP_REQUEST_CODE_POST, session);
    coap_session_new_token(session, &n, token);

    options = NULL;

    for (segment = path; segment; segment = segment->next) {
        add_path(&options, segment->data, segment->length);
    }

    if (!coap_insert_optlist(&options,
            coap_new_optlist(COAP_OPTION_CONTENT_FORMAT,
                             coap_encode_var_safe(format, sizeof(format),
                                                  CONTENT_FORMAT), format))
        || pdu == NULL
        || !coap_add_token(pdu, n, token)
        || !coap_add_optlist_pdu(pdu, &options)
        || (out.n && !coap_add_data_large_request(session, pdu, out.n, out.data,
                                                  NULL, NULL)))
    {
        die("out of memory");
    }

    coap_delete_optlist(options);

    code = 0;

    if (coap_send(session, pdu) == COAP_INVALID_MID) {
        die("cannot send");
    }

    for (waited = 0; code == 0 && waited < WAIT; /* void */ ) {
        waited += coap_io_process(context, 1000);
    }

    if (code != COAP_RESPONSE_CODE(201) && code != COAP_RESPONSE_CODE(204)) {
        fprintf(stderr, "response: %d.%02d\n", code >> 5, code & 31);
        exit(1);
    }

    out.n = 0;
}


/* Functions for TLS.  It sends a whole flight before it waits for the next. */

static int
tls_send(void *data, const unsigned char *bytes, size_t n)
{
    (void) data;

    if (n > BUFFER - out.n) {
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    }

    memcpy(out.data + out.n, bytes, n);
    out.n += n;

    return (int) n;
}


static int
tls_receive(void *data, unsigned char *bytes, size_t n)
{
    (void) data;

    if (in.read == in.n) {
        in.n = in.read = 0;
        post();
    }

    if (in.n == 0) {
        return MBEDTLS_ERR_SSL_WANT_READ;       /* nothing yet: an empty POST */
    }

    if (n > in.n - in.read) {
        n = in.n - in.read;
    }

    memcpy(bytes, in.data + in.read, n);
    in.read += n;

    return (int) n;
}


static void
connect_to(const char *host, const char *port)
{
    coap_address_t    address;
    struct addrinfo   hints, *found;

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_DGRAM;

    if (getaddrinfo(host, port, &hints, &found) != 0) {
        die("cannot resolve the gateway");
    }

    coap_address_init(&address);
    address.size = found->ai_addrlen;
    memcpy(&address.addr, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);

    coap_startup();
    context = coap_new_context(NULL);

    if (context == NULL) {
        die("no CoAP");
    }

    /* blocks are put together; a request is repeated with Echo */

    coap_context_set_block_mode(context, COAP_BLOCK_USE_LIBCOAP
                                         | COAP_BLOCK_SINGLE_BODY);
    coap_register_response_handler(context, received);

    session = coap_new_client_session(context, NULL, &address, COAP_PROTO_UDP);

    if (session == NULL) {
        die("no CoAP session");
    }

    add_path(&path, ".well-known", 11);
    add_path(&path, "atls", 4);
}


static void
request(mbedtls_ssl_context *ssl, const char *host, const char *uri)
{
    int   rc;
    char  text[1024];

    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n"
                                 "Connection: close\r\n\r\n", uri, host);

    do {
        rc = mbedtls_ssl_write(ssl, (unsigned char *) text, strlen(text));
    } while (rc == MBEDTLS_ERR_SSL_WANT_WRITE);

    /* the server ends the session after the response */

    for ( ;; ) {
        rc = mbedtls_ssl_read(ssl, (unsigned char *) text, sizeof(text));

        if (rc > 0) {
            fwrite(text, 1, (size_t) rc, stdout);

        } else if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
            return;

        } else if (rc != MBEDTLS_ERR_SSL_WANT_READ
#if defined(MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
                   && rc != MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
#endif
                  )
        {
            die("the response is not complete");
        }
    }
}


int
main(int argc, char **argv)
{
    int                        rc;
    mbedtls_x509_crt           trust;
    mbedtls_ssl_config         config;
    mbedtls_ssl_context        ssl;
    mbedtls_entropy_context    entropy;
    mbedtls_ctr_drbg_context   random;

    if (argc != 6) {
        die("usage: coap-device GATEWAY PORT CA-FILE HOST PATH");
    }

    connect_to(argv[1], argv[2]);

#if MBEDTLS_VERSION_MAJOR >= 3
    psa_crypto_init();
#endif

    mbedtls_x509_crt_init(&trust);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_init(&ssl);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random);

    if (mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0)
        || mbedtls_x509_crt_parse_file(&trust, argv[3])
        || mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT,
                                       MBEDTLS_SSL_TRANSPORT_STREAM,
                                       MBEDTLS_SSL_PRESET_DEFAULT))
    {
        die("no TLS, or no CA");
    }

    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
    mbedtls_ssl_conf_ca_chain(&config, &trust, NULL);
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);

    if (mbedtls_ssl_setup(&ssl, &config)
        || mbedtls_ssl_set_hostname(&ssl, argv[4]))
    {
        die("no TLS");
    }

    mbedtls_ssl_set_bio(&ssl, NULL, tls_send, tls_receive, NULL);

    do {
        rc = mbedtls_ssl_handshake(&ssl);
    } while (rc == MBEDTLS_ERR_SSL_WANT_READ
             || rc == MBEDTLS_ERR_SSL_WANT_WRITE);

    if (rc) {
        die("the handshake failed");
    }

    request(&ssl, argv[4], argv[5]);

    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
    mbedtls_ctr_drbg_free(&random);
    mbedtls_entropy_free(&entropy);
    mbedtls_x509_crt_free(&trust);

    coap_delete_optlist(path);
    coap_session_release(session);
    coap_free_context(context);
    coap_cleanup();

    return 0;
}
