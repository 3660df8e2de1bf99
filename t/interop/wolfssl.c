
/*
 * ATLS with wolfSSL 5: I/O callbacks instead of a socket.  Options of its build
 * that this needs, and Debian's has: --enable-tls13 --enable-session-ticket
 * --enable-sni, --enable-keying-material for the exporter, and --enable-psk.
 *
 *     cc -o wolfssl wolfssl.c -lwolfssl
 */


#include <wolfssl/options.h>        /* first, or structures don't match */
#include <wolfssl/ssl.h>

#include "http_post.h"
#include "options.h"


static WOLFSSL_CTX  *ctx;
static WOLFSSL      *ssl;
static post_t        post;
static int           dry;           /* the response was read */


static unsigned int
give_psk(WOLFSSL *s, const char *hint, char *identity,
    unsigned int identity_size, unsigned char *key, unsigned int key_size)
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


/* TLS 1.3: the suite's hash is the key's, SHA-256 unless agreed otherwise. */

static unsigned int
give_psk13(WOLFSSL *s, const char *hint, char *identity,
    unsigned int identity_size, unsigned char *key, unsigned int key_size,
    const char **suite)
{
    *suite = "TLS13-AES128-GCM-SHA256";

    return give_psk(s, hint, identity, identity_size, key, key_size);
}


/* TLS writes: it all waits for the next POST. */

static int
write_records(WOLFSSL *s, char *data, int len, void *p)
{
    (void) s;

    post_add(p, data, (size_t) len);

    return len;
}


/* TLS reads: what the response still has.  No more of it is no end of TLS. */

static int
read_records(WOLFSSL *s, char *buf, int size, void *p)
{
    size_t  n;

    (void) s;

    n = post_read(p, buf, (size_t) size);
    dry = n == 0;

    return n ? (int) n : WOLFSSL_CBIO_ERR_WANT_READ;
}


static void
make_context(void)
{
    wolfSSL_Init();

    ctx = wolfSSL_CTX_new(options.version == 13 ? wolfTLSv1_3_client_method()
                          : options.version == 12 ? wolfTLSv1_2_client_method()
                          : wolfSSLv23_client_method());

    /* whoever is between ends the outer TLS, so this is what protects */

    wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, NULL);

    if (wolfSSL_CTX_load_verify_locations(ctx, options.ca, NULL)
        != WOLFSSL_SUCCESS)
    {
        die("TLS: no certificates in %s", options.ca);
    }

    if (options.version == 0) {
        wolfSSL_CTX_SetMinVersion(ctx, WOLFSSL_TLSV1_2);
    }

    wolfSSL_CTX_UseSessionTicket(ctx);
    wolfSSL_CTX_SetIOSend(ctx, write_records);
    wolfSSL_CTX_SetIORecv(ctx, read_records);

    if (options.identity) {
        wolfSSL_CTX_set_psk_client_callback(ctx, give_psk);
        wolfSSL_CTX_set_psk_client_tls13_callback(ctx, give_psk13);
    }
}


static void
begin(WOLFSSL_SESSION *session)
{
    post_init(&post, options.url);

    ssl = wolfSSL_new(ctx);

    wolfSSL_SetIOReadCtx(ssl, &post);
    wolfSSL_SetIOWriteCtx(ssl, &post);

    /* the name to ask for, and the one to verify: two calls */

    wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, options.name,
                   (unsigned short) strlen(options.name));
    wolfSSL_check_domain_name(ssl, options.name);

    if (options.label) {
        wolfSSL_KeepArrays(ssl);    /* else the secrets are gone by then */
    }

    if (session) {
        wolfSSL_set_session(ssl, session);
    }
}


/* TLS may have an alert for the server, which then lets go of the session. */

static void
failed(const char *what, int rc)
{
    char  text[WOLFSSL_MAX_ERROR_SZ];
    int   error;

    error = wolfSSL_get_error(ssl, rc);
    post_send(&post);

    die("TLS: %s: %s", what,
        wolfSSL_ERR_error_string((unsigned long) error, text));
}


static void
handshake(void)
{
    int  rc;

    while ((rc = wolfSSL_connect(ssl)) != WOLFSSL_SUCCESS) {

        if (wolfSSL_get_error(ssl, rc) != WOLFSSL_ERROR_WANT_READ) {
            failed("handshake", rc);
        }

        /* the response first: a flight of the server's may come in pieces */

        if (dry && !post_send(&post)) {
            die("TLS: the server's flight is not complete");
        }
    }

    /* TLS 1.3: our last flight still waits in post, for the first request */
}


/* 0: the response to the POST is over, or the session is. */

static size_t
read_plaintext(void *from, char *buf, size_t size)
{
    int  n, *closed = from;

    while ((n = wolfSSL_read(ssl, buf, (int) size)) <= 0) {

        switch (wolfSSL_get_error(ssl, n)) {

        case WOLFSSL_ERROR_WANT_READ:
            if (dry) {
                return 0;
            }

            continue;

        case WOLFSSL_ERROR_ZERO_RETURN:         /* close_notify */
            *closed = 1;
            return 0;

        default:
            failed("reading", n);
        }
    }

    return (size_t) n;
}


static int
request(const char *path, FILE *body)
{
    int              n, closed;
    char             buf[16384];
    size_t           size;
    http_response_t  response;

    closed = 0;

    n = snprintf(buf, sizeof(buf), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
                 path, options.name);

    if (wolfSSL_write(ssl, buf, n) != n) {
        failed("writing", -1);
    }

    post_send(&post);

    http_read_header(&response, read_plaintext, &closed);

    while ((size = http_read_body(&response, buf, sizeof(buf)))) {
        if (body) {
            fwrite(buf, 1, size, body);
        }
    }

    /* what comes after the body is for TLS: tickets, KeyUpdates, the end */

    if (read_plaintext(&closed, buf, sizeof(buf)) != 0) {
        die("HTTP: more than was asked for");
    }

    return closed;
}


static void
end(void)
{
    int   closed;
    char  buf[1];

    closed = 0;

    wolfSSL_shutdown(ssl);
    post_send(&post);

    if (read_plaintext(&closed, buf, sizeof(buf)) != 0 || !closed) {
        die("TLS: no close_notify");
    }
}


int
main(int argc, char **argv)
{
    int               i, closed;
    char            **path;
    unsigned char     material[EXPORTED];
    WOLFSSL_SESSION  *session;

    options_read(argc, argv);
    make_context();

    session = NULL;

    for (i = 0; i <= options.resume; i++) {
        begin(session);
        handshake();

        if (options.label
            && wolfSSL_export_keying_material(ssl, material, EXPORTED,
                                              options.label,
                                              strlen(options.label), NULL, 0, 0)
               != WOLFSSL_SUCCESS)
        {
            failed("exporter", -1);
        }

        closed = 0;

        for (path = options.paths; *path; path++) {
            closed = request(*path, i == options.resume ? stdout : NULL);
        }

        if (!closed) {
            end();
        }

        if (i == options.resume) {
            report(wolfSSL_get_version(ssl), wolfSSL_session_reused(ssl),
                   options.label ? material : NULL, post.posts);
        }

        /* not before: the tickets of TLS 1.3 came with the response */

        wolfSSL_SESSION_free(session);
        session = wolfSSL_get1_session(ssl);

        wolfSSL_free(ssl);
        post_free(&post);
    }

    wolfSSL_SESSION_free(session);
    wolfSSL_CTX_free(ctx);
    wolfSSL_Cleanup();

    return 0;
}
