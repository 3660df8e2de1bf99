
/*
 * ATLS with OpenSSL 1.1.1 or later: an SSL between two memory BIOs.
 *
 *     cc -o openssl openssl.c -lssl -lcrypto
 */


#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "session.h"


static SSL_CTX      *ctx;
static SSL          *ssl;
static BIO          *received;      /* TLS input */
static BIO          *to_send;       /* TLS output */
static SSL_SESSION  *ticket;


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

    /* a proxy may terminate the outer TLS: only this verification counts */

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
begin(int resume)
{
    ssl = SSL_new(ctx);

    received = BIO_new(BIO_s_mem());
    to_send = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, received, to_send);        /* takes ownership */

    SSL_set_connect_state(ssl);
    SSL_set_tlsext_host_name(ssl, options.name);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_set1_host(ssl, options.name);

    if (resume) {
        SSL_set_session(ssl, ticket);
    }
}


/* Sends all TLS output in one POST. */

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


/* Passes the next bytes of the response to TLS; returns 0 at its end. */

static int
receive(void)
{
    char    buf[4096];
    size_t  n;

    n = post_read(&post, buf, sizeof(buf));

    return n && BIO_write(received, buf, (int) n) == (int) n;
}


/* Sends the alert that TLS may have written: the server closes the session. */

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

        /* read the response before the next POST: a flight may be in pieces */

        if (!receive() && !send_flight()) {
            die("TLS: the server's flight is not complete");
        }
    }

    /* TLS 1.3: to_send still has the last flight, sent with the request */
}


/* Returns 0 at the end of the POST's response, or of the session. */

static size_t
read_plaintext(void *from, char *buf, size_t size)
{
    int  n, *closed = from;

    while ((n = SSL_read(ssl, buf, (int) size)) <= 0) {

        switch (SSL_get_error(ssl, n)) {

        case SSL_ERROR_WANT_READ:
            if (receive()) {
                continue;
            }

            return 0;

        case SSL_ERROR_ZERO_RETURN:             /* close_notify */
            *closed = 1;
            return 0;

        default:
            failed("reading");
        }
    }

    return (size_t) n;
}


static void
write_plaintext(const char *data, int len)
{
    if (SSL_write(ssl, data, len) != len) {
        failed("writing");
    }

    send_flight();
}


static void
close_session(void)
{
    SSL_shutdown(ssl);
    send_flight();
}


static void
export_key(unsigned char *material)
{
    if (SSL_export_keying_material(ssl, material, EXPORTED, options.label,
                                   strlen(options.label), NULL, 0, 0)
        != 1)
    {
        failed("exporter");
    }
}


static const char *
version(void)
{
    return SSL_get_version(ssl);
}


static int
resumed(void)
{
    return SSL_session_reused(ssl);
}


static void
end(void)
{
    SSL_SESSION_free(ticket);
    ticket = SSL_get1_session(ssl);

    SSL_free(ssl);
}


static const tls_t  tls = {
    begin, handshake, write_plaintext, read_plaintext, close_session,
    export_key, version, resumed, end
};


int
main(int argc, char **argv)
{
    options_read(argc, argv);
    make_context();

    session_run(&tls);

    SSL_SESSION_free(ticket);
    SSL_CTX_free(ctx);

    return 0;
}
