
/*
 * A device with little memory: TLS 1.2 of mbedTLS, carried to a gateway by CoAP
 * of libcoap.  Sends GET requests for PATH to HOST, in one session, and prints
 * the responses.
 *
 *     cc -o coap-device coap-device.c -lcoap-3-notls -lmbedtls -lmbedx509 \
 *         -lmbedcrypto
 *     ./coap-device -c CA-FILE GATEWAY PORT HOST PATH
 *     ./coap-device -k IDENTITY:HEX GATEWAY PORT HOST PATH
 *
 *     -m SIZE     largest record: 512, 1024, 2048 or 4096; default: 1024
 *     -n N        number of requests
 *     -s FILE     a session is resumed from this file, and stored there
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netdb.h>
#include <unistd.h>

#include <coap3/coap.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif


#define CONTENT_FORMAT  65000
#define WAIT            100000          /* milliseconds, for a response */
#define TRIES           4               /* messages with the same bytes */
#define SZX             6               /* blocks of 16 to 1024 bytes: 0 to 6 */
#define BLOCK           (16 << SZX)
#define ECHO            40              /* bytes, RFC 9175, section 2.2.1 */
#define SESSION         2048            /* bytes of a stored session */


typedef struct {
    unsigned char   data[BLOCK];
    size_t          n;
    size_t          read;
} buffer_t;


static coap_context_t  *context;
static coap_session_t  *session;        /* of CoAP */

static coap_optlist_t  *path;           /* of the session of TLS */
static buffer_t         out;            /* to be sent */
static buffer_t         in;             /* received, and not read by TLS */
static coap_block_t     block;          /* the last one of the response */
static unsigned char    echo[ECHO];
static size_t           necho;
static uint8_t          token[8];       /* of the request */
static size_t           ntoken;
static int              code;           /* of the response; 0: none yet */
static int              lost;           /* there will be none */

static mbedtls_entropy_context    entropy;
static mbedtls_ctr_drbg_context   random_bytes;
static mbedtls_x509_crt           trust;
static mbedtls_ssl_config         config;
static mbedtls_ssl_context        ssl;


static void
die(const char *what, int rc)
{
    fprintf(stderr, rc ? "%s: -0x%04x\n" : "%s\n", what, (unsigned) -rc);
    exit(1);
}


/* CoAP */

static void
add_option(coap_optlist_t **list, uint16_t number, const void *value, size_t n)
{
    if (!coap_insert_optlist(list, coap_new_optlist(number, n, value))) {
        die("out of memory", 0);
    }
}


static void
add_number(coap_optlist_t **list, uint16_t number, unsigned value)
{
    uint8_t  bytes[4];

    add_option(list, number, bytes,
               coap_encode_var_safe(bytes, sizeof(bytes), value));
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
        add_option(&list, COAP_OPTION_URI_PATH, coap_opt_value(option),
                   coap_opt_length(option));
    }

    if (list) {
        coap_delete_optlist(path);
        path = list;
    }
}


static coap_response_t
received(coap_session_t *from, const coap_pdu_t *sent, const coap_pdu_t *pdu,
    const coap_mid_t mid)
{
    size_t                n;
    const uint8_t        *data;
    coap_opt_t           *option;
    coap_bin_const_t      its;
    coap_opt_iterator_t   iterator;

    (void) from;
    (void) sent;
    (void) mid;

    its = coap_pdu_get_token(pdu);

    if (its.length != ntoken || memcmp(its.s, token, ntoken) != 0) {
        return COAP_RESPONSE_OK;        /* an earlier one, again */
    }

    code = coap_pdu_get_code(pdu);

    if (code == COAP_RESPONSE_CODE(201)) {
        follow(pdu);
    }

    option = coap_check_option(pdu, COAP_OPTION_ECHO, &iterator);

    if (option && coap_opt_length(option) <= ECHO) {
        necho = coap_opt_length(option);
        memcpy(echo, coap_opt_value(option), necho);
    }

    memset(&block, 0, sizeof(block));
    (void) coap_get_block(pdu, COAP_OPTION_BLOCK2, &block);

    if (coap_get_data(pdu, &n, &data)) {

        if (n > BLOCK) {
            die("the block is too large", 0);
        }

        memcpy(in.data, data, n);
        in.n = n;
        in.read = 0;
    }

    return COAP_RESPONSE_OK;
}


/* There is no acknowledgement. */

static void
not_received(coap_session_t *from, const coap_pdu_t *sent,
    const coap_nack_reason_t reason, const coap_mid_t mid)
{
    (void) from;
    (void) sent;
    (void) reason;
    (void) mid;

    lost = 1;
}


/* Sends a request: what TLS has written, or for another block of a response. */

static void
send_request(unsigned num)
{
    coap_pdu_t      *pdu;
    coap_optlist_t  *options, *segment;

    options = NULL;

    for (segment = path; segment; segment = segment->next) {
        add_option(&options, COAP_OPTION_URI_PATH, segment->data,
                   segment->length);
    }

    if (num == 0) {
        add_number(&options, COAP_OPTION_CONTENT_FORMAT, CONTENT_FORMAT);
    }

    if (num || SZX < 6) {
        add_number(&options, COAP_OPTION_BLOCK2, num << 4 | SZX);
    }

    if (necho) {
        add_option(&options, COAP_OPTION_ECHO, echo, necho);
        necho = 0;
    }

    pdu = coap_new_pdu(COAP_MESSAGE_CON, COAP_REQUEST_CODE_POST, session);
    coap_session_new_token(session, &ntoken, token);

    if (pdu == NULL
        || !coap_add_token(pdu, ntoken, token)
        || !coap_add_optlist_pdu(pdu, &options)
        || (num == 0 && out.n && !coap_add_data(pdu, out.n, out.data)))
    {
        die("out of memory", 0);
    }

    coap_delete_optlist(options);

    if (coap_send(session, pdu) == COAP_INVALID_MID) {
        die("cannot send", 0);
    }
}


/*
 * Waits for the response.  Without one, the same bytes are sent again, in
 * another message: the service does not process them twice.
 */

static void
ask(unsigned num)
{
    int  waited, tries;

    for (tries = 0; tries < TRIES; tries++) {
        code = 0;
        lost = 0;
        in.n = in.read = 0;

        send_request(num);

        for (waited = 0; code == 0 && !lost && waited < WAIT; /* void */ ) {
            waited += coap_io_process(context, 1000);
        }

        if (code && code != COAP_RESPONSE_CODE(504)
            && (code != COAP_RESPONSE_CODE(401) || necho == 0))
        {
            break;
        }
    }

    if (code != COAP_RESPONSE_CODE(201) && code != COAP_RESPONSE_CODE(204)) {
        fprintf(stderr, "response: %d.%02d\n", code >> 5, code & 31);
        exit(1);
    }
}


static void
post(void)
{
    ask(0);
    out.n = 0;
}


static void
connect_to(const char *host, const char *port)
{
    coap_address_t    address;
    struct addrinfo   hints, *found;

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_DGRAM;

    if (getaddrinfo(host, port, &hints, &found) != 0) {
        die("cannot resolve the gateway", 0);
    }

    coap_address_init(&address);
    address.size = found->ai_addrlen;
    memcpy(&address.addr, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);

    coap_startup();
    context = coap_new_context(NULL);

    if (context == NULL) {
        die("no CoAP", 0);
    }

    /* libcoap would put the blocks together, in memory */

    coap_context_set_block_mode(context, 0);
    coap_register_response_handler(context, received);
    coap_register_nack_handler(context, not_received);

    session = coap_new_client_session(context, NULL, &address, COAP_PROTO_UDP);

    if (session == NULL) {
        die("no CoAP session", 0);
    }

    add_option(&path, COAP_OPTION_URI_PATH, ".well-known", 11);
    add_option(&path, COAP_OPTION_URI_PATH, "atls", 4);
}


/*
 * Functions for TLS.  It writes a whole flight, and then has nothing to read
 * until the flight was sent.
 */

static int
tls_send(void *data, const unsigned char *bytes, size_t n)
{
    (void) data;

    if (out.n == BLOCK) {
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    }

    if (n > BLOCK - out.n) {
        n = BLOCK - out.n;
    }

    memcpy(out.data + out.n, bytes, n);
    out.n += n;

    return (int) n;
}


static int
tls_receive(void *data, unsigned char *bytes, size_t n)
{
    (void) data;

    if (in.read == in.n && block.m) {
        ask(block.num + 1);
    }

    if (in.read == in.n) {
        return MBEDTLS_ERR_SSL_WANT_READ;       /* the end of the response */
    }

    if (n > in.n - in.read) {
        n = in.n - in.read;
    }

    memcpy(bytes, in.data + in.read, n);
    in.read += n;

    return (int) n;
}


/* Whether TLS has to wait.  Nothing to send: an empty POST. */

static int
must_post(int rc)
{
    if (rc != MBEDTLS_ERR_SSL_WANT_READ && rc != MBEDTLS_ERR_SSL_WANT_WRITE) {
        return 0;
    }

    post();

    return 1;
}


static void
request(const char *host, const char *uri, int last)
{
    int     rc;
    char    text[512];
    size_t  n, sent;

    n = (size_t) snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n"
                                              "%s\r\n", uri, host,
                          last ? "Connection: close\r\n" : "");

    if (n >= sizeof(text)) {
        die("the path is too long", 0);
    }

    for (sent = 0; sent < n; sent += (size_t) rc) {

        do {
            rc = mbedtls_ssl_write(&ssl, (unsigned char *) text + sent,
                                   n - sent);
        } while (must_post(rc));

        if (rc < 0) {
            die("cannot write", rc);
        }
    }

    post();

    /* the response of the POST has the whole response */

    while ((rc = mbedtls_ssl_read(&ssl, (unsigned char *) text, sizeof(text)))
           > 0)
    {
        fwrite(text, 1, (size_t) rc, stdout);
    }

    if (rc != (last ? MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY
                    : MBEDTLS_ERR_SSL_WANT_READ))
    {
        die("the response is not complete", rc);
    }
}


/* A session is stored with its ticket. */

static void
resume(const char *name)
{
    FILE                 *file;
    size_t                n;
    unsigned char         bytes[SESSION];
    mbedtls_ssl_session   stored;

    file = fopen(name, "rb");

    if (file == NULL) {
        return;
    }

    n = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);

    mbedtls_ssl_session_init(&stored);

    if (mbedtls_ssl_session_load(&stored, bytes, n) == 0) {
        (void) mbedtls_ssl_set_session(&ssl, &stored);
    }

    mbedtls_ssl_session_free(&stored);
}


static void
store(const char *name)
{
    FILE                 *file;
    size_t                n;
    unsigned char         bytes[SESSION];
    mbedtls_ssl_session   stored;

    mbedtls_ssl_session_init(&stored);

    if (mbedtls_ssl_get_session(&ssl, &stored)
        || mbedtls_ssl_session_save(&stored, bytes, sizeof(bytes), &n)
        || (file = fopen(name, "wb")) == NULL
        || fwrite(bytes, 1, n, file) != n
        || fclose(file))
    {
        die("cannot store the session", 0);
    }

    mbedtls_ssl_session_free(&stored);
}


/* configuration */

static void
set_key(char *text)
{
    int             rc;
    char           *hex;
    size_t          n;
    unsigned char   key[64];

    static const int  suites[] = {
        MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8, 0
    };

    hex = strrchr(text, ':');

    if (hex == NULL) {
        die("the key must be IDENTITY:HEX", 0);
    }

    *hex++ = '\0';

    for (n = 0; n < sizeof(key) && sscanf(hex + 2 * n, "%2hhx", &key[n]) == 1;
         n++)
    {
        /* void */
    }

    rc = mbedtls_ssl_conf_psk(&config, key, n, (unsigned char *) text,
                              strlen(text));

    if (rc) {
        die("cannot use the key", rc);
    }

    mbedtls_ssl_conf_ciphersuites(&config, suites);
}


/* These have the smallest ClientHello and the least code. */

static void
set_trust(const char *name)
{
    int  rc;

    static const int  suites[] = {
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CCM,
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 0
    };

    rc = mbedtls_x509_crt_parse_file(&trust, name);

    if (rc) {
        die("cannot read the CA certificates", rc);
    }

    mbedtls_ssl_conf_ca_chain(&config, &trust, NULL);
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ciphersuites(&config, suites);
}


static unsigned char
fragment(int size)
{
    switch (size) {

    case 512:
        return MBEDTLS_SSL_MAX_FRAG_LEN_512;

    case 1024:
        return MBEDTLS_SSL_MAX_FRAG_LEN_1024;

    case 2048:
        return MBEDTLS_SSL_MAX_FRAG_LEN_2048;

    default:
        return MBEDTLS_SSL_MAX_FRAG_LEN_4096;
    }
}


static void
init_tls(void)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    psa_crypto_init();
#endif

    mbedtls_x509_crt_init(&trust);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_init(&ssl);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random_bytes);

    if (mbedtls_ctr_drbg_seed(&random_bytes, mbedtls_entropy_func, &entropy,
                              NULL, 0)
        || mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT,
                                       MBEDTLS_SSL_TRANSPORT_STREAM,
                                       MBEDTLS_SSL_PRESET_DEFAULT))
    {
        die("no TLS", 0);
    }

    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random_bytes);

    /* in TLS 1.3, mbedTLS has no max_fragment_length */

#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_max_tls_version(&config, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
}


static void
run(char **args, const char *file, int requests)
{
    int  i, rc;

    connect_to(args[0], args[1]);

    if (mbedtls_ssl_setup(&ssl, &config)
        || mbedtls_ssl_set_hostname(&ssl, args[2]))
    {
        die("no TLS", 0);
    }

    mbedtls_ssl_set_bio(&ssl, NULL, tls_send, tls_receive, NULL);

    if (file) {
        resume(file);
    }

    do {
        rc = mbedtls_ssl_handshake(&ssl);
    } while (must_post(rc));

    if (rc) {
        die("the handshake failed", rc);
    }

    if (file) {
        store(file);
    }

    for (i = 1; i <= requests; i++) {
        request(args[2], args[3], i == requests);
    }
}


int
main(int argc, char **argv)
{
    int          c, requests, size;
    const char  *file;

    init_tls();

    requests = 1;
    size = 1024;
    file = NULL;

    while ((c = getopt(argc, argv, "c:k:m:n:s:")) != -1) {
        switch (c) {

        case 'c':
            set_trust(optarg);
            break;

        case 'k':
            set_key(optarg);
            break;

        case 'm':
            size = atoi(optarg);
            break;

        case 'n':
            requests = atoi(optarg);
            break;

        case 's':
            file = optarg;
            break;
        }
    }

    if (argc - optind != 4) {
        die("usage: coap-device -c CA-FILE | -k IDENTITY:HEX [-m SIZE] [-n N] "
            "[-s FILE] GATEWAY PORT HOST PATH", 0);
    }

    mbedtls_ssl_conf_max_frag_len(&config, fragment(size));

    run(argv + optind, file, requests);

    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
    mbedtls_x509_crt_free(&trust);
    mbedtls_ctr_drbg_free(&random_bytes);
    mbedtls_entropy_free(&entropy);

    coap_delete_optlist(path);
    coap_session_release(session);
    coap_free_context(context);
    coap_cleanup();

    return 0;
}
