
/*
 * ATLS with wolfSSL 5: I/O callbacks instead of a socket.  It requires these
 * build options, as in Debian's package: --enable-tls13 --enable-session-ticket
 * --enable-sni, --enable-keying-material for the exporter, and --enable-psk.
 *
 *     cc -o wolfssl wolfssl.c -lwolfssl
 */


#include <wolfssl/options.h>        /* must be first */
#include <wolfssl/ssl.h>

#include "session.h"


static WOLFSSL_CTX      *ctx;
static WOLFSSL          *ssl;
static WOLFSSL_SESSION  *ticket;
static int               dry;       /* end of the response */


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


/* TLS 1.3: the hash of the suite must match the key: SHA-256 by default. */

static unsigned int
give_psk13(WOLFSSL *s, const char *hint, char *identity,
    unsigned int identity_size, unsigned char *key, unsigned int key_size,
    const char **suite)
{
    *suite = "TLS13-AES128-GCM-SHA256";

    return give_psk(s, hint, identity, identity_size, key, key_size);
}


/* TLS output: collected for the next POST. */

static int
write_records(WOLFSSL *s, char *data, int len, void *p)
{
    (void) s;

    post_add(p, data, (size_t) len);

    return len;
}


/* TLS input: the POST's response.  Its end is not the end of the session. */

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

    /* a proxy may terminate the outer TLS: only this verification counts */

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
begin(int resume)
{
    ssl = wolfSSL_new(ctx);

    wolfSSL_SetIOReadCtx(ssl, &post);
    wolfSSL_SetIOWriteCtx(ssl, &post);

    /* SNI and the name to verify: two calls */

    wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, options.name,
                   (unsigned short) strlen(options.name));
    wolfSSL_check_domain_name(ssl, options.name);

    if (options.label) {
        wolfSSL_KeepArrays(ssl);    /* keeps secrets for the exporter */
    }

    if (resume) {
        wolfSSL_set_session(ssl, ticket);
    }
}


/* Sends the alert that TLS may have written: the server closes the session. */

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

        /* read the response before the next POST: a flight may be in pieces */

        if (dry && !post_send(&post)) {
            die("TLS: the server's flight is not complete");
        }
    }
}


/* Returns 0 at the end of the POST's response, or of the session. */

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


static void
write_plaintext(const char *data, int len)
{
    if (wolfSSL_write(ssl, data, len) != len) {
        failed("writing", -1);
    }

    post_send(&post);
}


static void
close_session(void)
{
    wolfSSL_shutdown(ssl);
    post_send(&post);
}


static void
export_key(unsigned char *material)
{
    if (wolfSSL_export_keying_material(ssl, material, EXPORTED, options.label,
                                       strlen(options.label), NULL, 0, 0)
        != WOLFSSL_SUCCESS)
    {
        failed("exporter", -1);
    }
}


static const char *
version(void)
{
    return wolfSSL_get_version(ssl);
}


static int
resumed(void)
{
    return wolfSSL_session_reused(ssl);
}


static void
end(void)
{
    wolfSSL_SESSION_free(ticket);
    ticket = wolfSSL_get1_session(ssl);

    wolfSSL_free(ssl);
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

    wolfSSL_SESSION_free(ticket);
    wolfSSL_CTX_free(ctx);
    wolfSSL_Cleanup();

    return 0;
}
