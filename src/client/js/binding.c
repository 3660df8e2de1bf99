
/*
 * libatls without libcurl, for WebAssembly: the inner session and its requests.
 * The functions are called by module.js.  They neither send nor receive:
 * records are exchanged by buffers.
 *
 * Random numbers of OpenSSL are seeded by seed.c.
 */


#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "http.h"
#include "pem.h"
#include "request.h"
#include "response.h"
#include "resume.h"
#include "seed.h"
#include "tls.h"


#define JS_EXPORT       __attribute__((visibility("default"), used))

/*
 * Compiled C, without instructions for AES, uses tables, so that its timing
 * depends on the data; ChaCha20-Poly1305 has none.
 */

#define JS_CIPHERSUITES "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:" \
                        "TLS_AES_128_GCM_SHA256"
#define JS_CIPHERS      "ECDHE+CHACHA20:ECDHE+AESGCM"

#define JS_TICKETS      8
#define JS_HEADER_SIZE  65536

/* Bits of js_session_state(). */

#define JS_OPEN         1                   /* the handshake is complete */
#define JS_CLOSED       2                   /* by close_notify */
#define JS_PENDING      4                   /* there are records to be sent */
#define JS_HEADER       8                   /* of the response is complete */
#define JS_COMPLETE     16                  /* the response is */
#define JS_REUSABLE     32                  /* and another may follow */


/* The service: what its sessions have in common. */

typedef struct {
    unsigned char       *data;
    size_t               size;
} js_ticket_t;


typedef struct {
    char                *host;
    char                *authority;         /* with the port */
    X509_STORE          *trust;
    X509                *certificate;       /* of the client, or NULL */
    STACK_OF(X509)      *chain;
    EVP_PKEY            *key;
    atls_store_t         store;
    js_ticket_t          tickets[JS_TICKETS];
    size_t               ntickets;
    atls_failure_t       failure;
} js_service_t;


typedef struct {
    js_service_t        *service;
    atls_tls_t           tls;
    atls_debug_t         debug;
    atls_failure_t       failure;
    atls_request_t       request;
    atls_response_t      response;
    int64_t              length;            /* of the body to be sent */
    atls_buf_t           out;               /* records to be sent */
    atls_buf_t           header;            /* of the response: strings */
    atls_buf_t           body;              /* of it, received */
} js_session_t;


static int js_trust(js_service_t *service, const char *ca);
static void js_put(void *data, const char *key, const void *session,
    size_t size);
static size_t js_take(void *data, const char *key, void *buf, size_t size);
static void js_ticket_free(js_ticket_t *ticket);
static atls_error_e js_identify(js_session_t *session);
static atls_error_e js_offer(js_session_t *session);
static void js_ticket(void *data, const atls_resume_t *resume);
static atls_error_e js_plain(void *data, const unsigned char *bytes, size_t n);
static int js_on_status(void *data, int status, const char *reason);
static int js_on_header(void *data, const char *name, const char *value);
static int js_on_body(void *data, const void *bytes, size_t n);
static atls_header_t *js_headers(const char *text, const char *end, size_t *n);
static long js_read(void *data, void *buf, size_t size);
static atls_error_e js_write(js_session_t *session, const void *bytes,
    size_t n);


JS_EXPORT void *
js_alloc(size_t n)
{
    return malloc(n ? n : 1);
}


/* What is freed may be a key, or data of a request. */

JS_EXPORT void
js_free(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
    free(p);
}


/*
 * Returns a service, whose error is in js_service_error(); NULL if there is no
 * memory.  ca: certificates in PEM format.
 */

JS_EXPORT js_service_t *
js_service_create(const char *host, const char *authority, const char *ca)
{
    js_service_t  *service;

    service = calloc(1, sizeof(js_service_t));
    if (service == NULL) {
        return NULL;
    }

    service->store.put = js_put;
    service->store.take = js_take;
    service->store.data = service;

    service->host = strdup(host);
    service->authority = strdup(authority);
    service->trust = X509_STORE_new();

    if (service->host == NULL || service->authority == NULL
        || service->trust == NULL)
    {
        atls_fail_memory(&service->failure);

    } else if (js_seed() == -1) {
        atls_fail_openssl(&service->failure, ATLS_ERROR_MEMORY,
                          "there are no random numbers");

    } else if (js_trust(service, ca) == -1) {
        atls_fail_openssl(&service->failure, ATLS_ERROR_TRUST,
                          "cannot load the CA certificates");
    }

    return service;
}


/* As atls_trust_create(), from memory. */

static int
js_trust(js_service_t *service, const char *ca)
{
    int              i, rc;
    STACK_OF(X509)  *list;

    list = js_pem_certificates(ca);
    if (list == NULL) {
        return -1;
    }

    rc = 0;

    for (i = 0; i < sk_X509_num(list); i++) {
        if (X509_STORE_add_cert(service->trust, sk_X509_value(list, i)) != 1) {
            rc = -1;
        }
    }

    sk_X509_pop_free(list, X509_free);
    X509_STORE_set_flags(service->trust, X509_V_FLAG_PARTIAL_CHAIN);

    return rc;
}


/*
 * The certificate of the client, with its chain, and the key, in PEM format.
 * The error is in js_service_error().
 */

JS_EXPORT void
js_service_identify(js_service_t *service, const char *certificate,
    const char *key, const char *passphrase)
{
    service->chain = js_pem_certificates(certificate);

    if (service->chain == NULL) {
        atls_fail_openssl(&service->failure, ATLS_ERROR_IDENTITY,
                          "cannot load the client certificate");
        return;
    }

    service->certificate = sk_X509_shift(service->chain);
    service->key = js_pem_key(key, passphrase);

    if (service->key == NULL
        || X509_check_private_key(service->certificate, service->key) != 1)
    {
        atls_fail_openssl(&service->failure, ATLS_ERROR_IDENTITY,
                          "cannot use the key of the client certificate");
    }
}


/* 0, or a number of atls_error_e. */

JS_EXPORT int
js_service_error(const js_service_t *service)
{
    return service->failure.error;
}


JS_EXPORT const char *
js_service_text(const js_service_t *service)
{
    return service->failure.text;
}


JS_EXPORT void
js_service_free(js_service_t *service)
{
    while (service->ntickets) {
        js_ticket_free(&service->tickets[--service->ntickets]);
    }

    X509_STORE_free(service->trust);
    X509_free(service->certificate);
    sk_X509_pop_free(service->chain, X509_free);
    EVP_PKEY_free(service->key);
    free(service->authority);
    free(service->host);
    free(service);
}


/* A store, see atls.h.  There is a single key. */

static void
js_put(void *data, const char *key, const void *session, size_t size)
{
    js_service_t  *service = data;

    js_ticket_t  *ticket;

    (void) key;

    if (service->ntickets == JS_TICKETS) {
        js_ticket_free(&service->tickets[0]);
        memmove(&service->tickets[0], &service->tickets[1],
                (JS_TICKETS - 1) * sizeof(js_ticket_t));
        service->ntickets--;
    }

    ticket = &service->tickets[service->ntickets];

    ticket->data = malloc(size);

    if (ticket->data) {
        memcpy(ticket->data, session, size);
        ticket->size = size;
        service->ntickets++;
    }
}


static size_t
js_take(void *data, const char *key, void *buf, size_t size)
{
    js_service_t  *service = data;

    size_t        n;
    js_ticket_t  *ticket;

    (void) key;

    if (service->ntickets == 0) {
        return 0;
    }

    ticket = &service->tickets[--service->ntickets];
    n = ticket->size <= size ? ticket->size : 0;

    memcpy(buf, ticket->data, n);
    js_ticket_free(ticket);

    return n;
}


static void
js_ticket_free(js_ticket_t *ticket)
{
    OPENSSL_cleanse(ticket->data, ticket->size);
    free(ticket->data);
}


/* Starts a handshake.  Returns NULL if there is no memory. */

JS_EXPORT js_session_t *
js_session_create(js_service_t *service)
{
    js_session_t     *session;
    atls_tls_conf_t   conf;
    unsigned char     address[sizeof(struct in6_addr)];

    session = calloc(1, sizeof(js_session_t));
    if (session == NULL) {
        return NULL;
    }

    memset(&conf, 0, sizeof(atls_tls_conf_t));

    conf.ciphersuites = JS_CIPHERSUITES;
    conf.ciphers = JS_CIPHERS;
    conf.peer.host = service->host;
    conf.peer.ip = inet_pton(AF_INET, service->host, address) == 1
                   || inet_pton(AF_INET6, service->host, address) == 1;

    session->service = service;
    session->tls.plain = js_plain;
    session->tls.ticket = js_ticket;
    session->tls.data = session;

    session->request.on_status = js_on_status;
    session->request.on_header = js_on_header;
    session->request.on_body = js_on_body;
    session->request.data = session;

    if (atls_tls_init(&session->tls, &conf, service->trust, &session->debug,
                      &session->failure)
        == ATLS_OK
        && js_identify(session) == ATLS_OK)
    {
        (void) js_offer(session);
    }

    return session;
}


/* libatls reads certificates from files, and there are none. */

static atls_error_e
js_identify(js_session_t *session)
{
    js_service_t  *service = session->service;

    if (service->key
        && SSL_CTX_use_cert_and_key(session->tls.ctx, service->certificate,
                                    service->key, service->chain, 1)
           != 1)
    {
        return atls_fail_openssl(&session->failure, ATLS_ERROR_IDENTITY,
                                 "cannot use the client certificate");
    }

    return ATLS_OK;
}


/* With the newest ticket whose certificate is still valid. */

static atls_error_e
js_offer(js_session_t *session)
{
    int            rc;
    atls_error_e   error;
    atls_resume_t  resume;

    do {
        memset(&resume, 0, sizeof(atls_resume_t));

        rc = atls_resume_take(&session->service->store, "", &resume);

        if (rc == 0 && resume.session
            && atls_tls_verify_stored(&session->tls, &resume) != X509_V_OK)
        {
            atls_resume_free(&resume);
            rc = -1;
        }

    } while (rc == -1);

    error = atls_tls_open(&session->tls, &resume);

    return error == ATLS_OK ? atls_tls_handshake(&session->tls) : error;
}


static void
js_ticket(void *data, const atls_resume_t *resume)
{
    js_session_t  *session = data;

    atls_resume_put(&session->service->store, "", resume);
}


JS_EXPORT void
js_session_free(js_session_t *session)
{
    atls_tls_done(&session->tls);
    atls_response_free(&session->response);
    atls_buf_free(&session->out);
    atls_buf_free(&session->header);
    atls_buf_free(&session->body);
    free(session);
}


/* 0, or a number of atls_error_e. */

JS_EXPORT int
js_session_error(const js_session_t *session)
{
    return session->failure.error;
}


JS_EXPORT const char *
js_session_text(const js_session_t *session)
{
    return session->failure.text;
}


JS_EXPORT int
js_session_state(const js_session_t *session)
{
    const atls_tls_t  *tls = &session->tls;

    return (tls->finished ? JS_OPEN : 0)
           | (tls->closed ? JS_CLOSED : 0)
           | (atls_tls_pending(tls) ? JS_PENDING : 0)
           | (session->response.delivered ? JS_HEADER : 0)
           | (session->response.state == ATLS_RESPONSE_COMPLETE ? JS_COMPLETE
                                                                : 0)
           | (atls_response_reusable(&session->response) ? JS_REUSABLE : 0);
}


/* Takes all records to be sent.  They are valid until the next call. */

JS_EXPORT const atls_buf_t *
js_session_out(js_session_t *session)
{
    session->out.len = 0;

    if (session->tls.ssl) {
        (void) atls_tls_drain(&session->tls, &session->out);
    }

    return &session->out;
}


/* Processes bytes of a response. */

JS_EXPORT int
js_session_receive(js_session_t *session, const unsigned char *bytes, size_t n)
{
    atls_error_e  rc;

    rc = atls_tls_receive(&session->tls, bytes, n);

    if (rc == ATLS_OK && session->tls.closed) {
        atls_response_end(&session->response);
    }

    return rc;
}


static atls_error_e
js_plain(void *data, const unsigned char *bytes, size_t n)
{
    js_session_t  *session = data;

    /* data without a request; the structure is zeroed before the first one */

    if (session->response.request == NULL) {
        return atls_fail(&session->failure, ATLS_ERROR_HTTP,
                         "data without a request");
    }

    return atls_response_parse(&session->response, bytes, n);
}


static int
js_on_status(void *data, int status, const char *reason)
{
    js_session_t  *session = data;

    session->header.len = 0;

    return atls_buf_print(&session->header, "%d", status) == -1
           || atls_buf_add(&session->header, "", 1) == -1
           || atls_buf_add(&session->header, reason, strlen(reason) + 1) == -1
           ? -1 : 0;
}


static int
js_on_header(void *data, const char *name, const char *value)
{
    js_session_t  *session = data;

    return atls_buf_add(&session->header, name, strlen(name) + 1) == -1
           || atls_buf_add(&session->header, value, strlen(value) + 1) == -1
           ? -1 : 0;
}


static int
js_on_body(void *data, const void *bytes, size_t n)
{
    js_session_t  *session = data;

    return atls_buf_add(&session->body, bytes, n);
}


/* The header of the response: strings that end with zero. */

JS_EXPORT const atls_buf_t *
js_session_header(const js_session_t *session)
{
    return &session->header;
}


/* The body received since js_session_clear(). */

JS_EXPORT const atls_buf_t *
js_session_body(const js_session_t *session)
{
    return &session->body;
}


JS_EXPORT void
js_session_clear(js_session_t *session)
{
    session->body.len = 0;
}


/*
 * Writes the header of a request.  fields: names and values, strings that end
 * with zero.  length: of the body; -1: unknown, -2: there is none.
 */

JS_EXPORT int
js_session_request(js_session_t *session, const char *method, const char *path,
    const char *fields, size_t n, double length)
{
    size_t            nheaders;
    atls_error_e      rc;
    atls_header_t    *headers;
    atls_request_t   *request = &session->request;
    atls_message_t    message;

    headers = js_headers(fields, fields + n, &nheaders);
    if (headers == NULL) {
        return atls_fail_memory(&session->failure);
    }

    request->method = method;
    request->path = path;
    request->headers = headers;
    request->nheaders = nheaders;
    request->body = length == -2 ? ATLS_BODY_NONE : ATLS_BODY_READ;
    request->read = js_read;
    request->length = (int64_t) length;

    session->length = (int64_t) length;
    session->header.len = 0;
    session->body.len = 0;

    atls_response_begin(&session->response, request, &session->debug,
                        JS_HEADER_SIZE, &session->failure);
    session->response.head = strcmp(method, "HEAD") == 0;

    rc = atls_message_open(&message, request, session->service->authority,
                           &session->failure);

    if (rc == ATLS_OK) {
        rc = js_write(session, message.header.data, message.header.len);
        atls_message_close(&message);
    }

    /* they are not used later */

    request->method = NULL;
    request->path = NULL;
    request->headers = NULL;
    request->nheaders = 0;

    free(headers);

    return rc;
}


static atls_header_t *
js_headers(const char *text, const char *end, size_t *n)
{
    size_t          i;
    const char     *p;
    atls_header_t  *headers;

    *n = 0;

    for (p = text; p < end; p += strlen(p) + 1) {
        ++*n;
    }

    *n /= 2;

    headers = calloc(*n + 1, sizeof(atls_header_t));

    for (i = 0; headers && i < *n; i++) {
        headers[i].name = text;
        text += strlen(text) + 1;
        headers[i].value = text;
        text += strlen(text) + 1;
    }

    return headers;
}


/* The body is written by js_session_write() instead. */

static long
js_read(void *data, void *buf, size_t size)
{
    (void) data;
    (void) buf;
    (void) size;

    return -1;
}


static atls_error_e
js_write(js_session_t *session, const void *bytes, size_t n)
{
    size_t                piece;
    atls_error_e          rc;
    const unsigned char  *p = bytes;

    for (rc = ATLS_OK; n && rc == ATLS_OK; n -= piece) {
        piece = n < SSL3_RT_MAX_PLAIN_LENGTH ? n : SSL3_RT_MAX_PLAIN_LENGTH;
        rc = atls_tls_write(&session->tls, p, piece);
        p += piece;
    }

    return rc;
}


/* A piece of the body.  If the length is unknown, an empty one is the end. */

JS_EXPORT int
js_session_write(js_session_t *session, const unsigned char *bytes, size_t n)
{
    atls_buf_t    line;
    atls_error_e  rc;

    if (session->length != ATLS_LENGTH_UNKNOWN) {
        return js_write(session, bytes, n);
    }

    memset(&line, 0, sizeof(atls_buf_t));

    if (atls_buf_print(&line, n ? "%zx\r\n" : "%zx\r\n\r\n", n) == -1) {
        return atls_fail_memory(&session->failure);
    }

    rc = js_write(session, line.data, line.len);

    if (rc == ATLS_OK && n) {
        rc = js_write(session, bytes, n);
    }

    if (rc == ATLS_OK && n) {
        rc = js_write(session, "\r\n", 2);
    }

    atls_buf_free(&line);

    return rc;
}


/* Writes a close_notify. */

JS_EXPORT void
js_session_shutdown(js_session_t *session)
{
    atls_tls_shutdown(&session->tls);
}
