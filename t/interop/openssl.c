
/*
 * ATLS with OpenSSL 1.1.1 or later: an SSL between two memory BIOs.
 *
 *     cc -o openssl openssl.c -lssl -lcrypto
 */


#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "http_post.h"
#include "options.h"


static SSL_CTX  *ctx;
static SSL      *ssl;
static BIO      *received;          /* what TLS reads */
static BIO      *to_send;           /* what TLS has written */
static post_t    post;


static unsigned int
give_psk(SSL *s, const char *hint, char *identity, unsigned int identity_size,
    unsigned char *key, unsigned int key_size)
{
    (void) s;
    (void) hint;

    if (strlen(options.identity) >= identity_size
        || options.key_len > key_size)
    {
        return 0;
    }

    strcpy(identity, options.identity);
    memcpy(key, options.key, options.key_len);

    return (unsigned int) options.key_len;
}


static void
make_context(void)
{
    ctx = SSL_CTX_new(TLS_client_method());

    /* whoever is between ends the outer TLS, so this is what protects */

    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);

    if (SSL_CTX_load_verify_locations(ctx, options.ca, NULL) != 1) {
        die("TLS: no certificates in %s", options.ca);
    }

    SSL_CTX_set_min_proto_version(ctx, options.version == 13 ? TLS1_3_VERSION
                                                             : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(ctx, options.version == 12 ? TLS1_2_VERSION
                                                             : 0);

    if (options.identity) {
        SSL_CTX_set_psk_client_callback(ctx, give_psk);
    }
}


static void
begin(SSL_SESSION *session)
{
    post_init(&post, options.url);

    ssl = SSL_new(ctx);

    received = BIO_new(BIO_s_mem());
    to_send = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, received, to_send);        /* owns them now */

    SSL_set_connect_state(ssl);
    SSL_set_tlsext_host_name(ssl, options.name);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_set1_host(ssl, options.name);

    if (session) {
        SSL_set_session(ssl, session);
    }
}


/* All that TLS has written is one POST. */

static int
send_flight(void)
{
    long   len;
    char  *data;

    len = BIO_get_mem_data(to_send, &data);

    if (len <= 0) {
        return 0;
    }

    post_add(&post, data, (size_t) len);
    BIO_reset(to_send);

    return post_send(&post);
}


/* The next bytes of the response; 0: there is no more of it. */

static int
receive(void)
{
    char    buf[4096];
    size_t  n;

    n = post_read(&post, buf, sizeof(buf));

    return n && BIO_write(received, buf, (int) n) == (int) n;
}


/* TLS may have an alert for the server, which then lets go of the session. */

static void
failed(const char *what)
{
    long         verify;
    const char  *reason;

    verify = SSL_get_verify_result(ssl);
    reason = verify == X509_V_OK ? ERR_reason_error_string(ERR_get_error())
                                 : X509_verify_cert_error_string(verify);
    send_flight();

    die("TLS: %s: %s", what, reason ? reason : "the server has gone");
}


static void
handshake(void)
{
    int  rc;

    while ((rc = SSL_do_handshake(ssl)) != 1) {

        if (SSL_get_error(ssl, rc) != SSL_ERROR_WANT_READ) {
            failed("handshake");
        }

        /* the response first: a flight of the server's may come in pieces */

        if (!receive() && !send_flight()) {
            die("TLS: the server's flight is not complete");
        }
    }

    /* TLS 1.3: our last flight is still in to_send, for the first request */
}


/* 0: the response to the POST is over, or the session is. */

static size_t
read_plaintext(void *from, char *buf, size_t size)
{
    int  n;

    (void) from;

    while ((n = SSL_read(ssl, buf, (int) size)) <= 0) {

        switch (SSL_get_error(ssl, n)) {

        case SSL_ERROR_WANT_READ:
            if (receive()) {
                continue;
            }

            return 0;

        case SSL_ERROR_ZERO_RETURN:             /* close_notify */
            return 0;

        default:
            failed("reading");
        }
    }

    return (size_t) n;
}


static void
request(const char *path, FILE *body)
{
    int              n;
    char             buf[16384];
    size_t           size;
    http_response_t  response;

    n = snprintf(buf, sizeof(buf), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
                 path, options.name);

    if (SSL_write(ssl, buf, n) != n) {
        failed("writing");
    }

    send_flight();

    http_read_header(&response, read_plaintext, NULL);

    while ((size = http_read_body(&response, buf, sizeof(buf)))) {
        if (body) {
            fwrite(buf, 1, size, body);
        }
    }

    /* what comes after the body is for TLS: tickets, KeyUpdates, the end */

    if (read_plaintext(NULL, buf, sizeof(buf)) != 0) {
        die("HTTP: more than was asked for");
    }
}


static void
end(void)
{
    char  buf[1];

    if (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) {
        return;                                 /* the server was first */
    }

    SSL_shutdown(ssl);
    send_flight();

    if (read_plaintext(NULL, buf, sizeof(buf)) != 0
        || !(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN))
    {
        die("TLS: no close_notify");
    }
}


int
main(int argc, char **argv)
{
    int             i;
    char          **path;
    SSL_SESSION    *session;
    unsigned char   material[EXPORTED];

    options_read(argc, argv);
    make_context();

    session = NULL;

    for (i = 0; i <= options.resume; i++) {
        begin(session);
        handshake();

        for (path = options.paths; *path; path++) {
            request(*path, i == options.resume ? stdout : NULL);
        }

        if (options.label
            && SSL_export_keying_material(ssl, material, EXPORTED,
                                          options.label, strlen(options.label),
                                          NULL, 0, 0) != 1)
        {
            failed("exporter");
        }

        end();

        if (i == options.resume) {
            report(SSL_get_version(ssl), SSL_session_reused(ssl),
                   options.label ? material : NULL, post.posts);
        }

        /* not before: the tickets of TLS 1.3 came with the response */

        SSL_SESSION_free(session);
        session = SSL_get1_session(ssl);

        SSL_free(ssl);
        post_free(&post);
    }

    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);

    return 0;
}
