
/*
 * A TLS 1.3 client on a pipe, for what Perl's Net::SSLeay can't do: KeyUpdate.
 *
 *     key_update [ciphersuites]
 *
 * Commands on stdin are a line "name number" and, for some, that many bytes:
 *
 *     handshake 0         goes on with it
 *     in N                N bytes of cipher text have come
 *     write N             N bytes of plaintext are to be sent
 *     update 0            a KeyUpdate
 *     update 1            one that requests the other side's
 *
 * Each is answered by a line "out N plain N updates N state S" and N bytes of
 * cipher text to be sent and N bytes of plaintext that came.  updates counts
 * the KeyUpdates received; the state is "waiting", "established", "closed"
 * or "failed".
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>


static unsigned     updates;
static char         plain[1 << 20];
static const char  *state = "waiting";


static void
die(const char *what)
{
    fprintf(stderr, "key_update: %s\n", what);
    exit(1);
}


static void
watch(int sent, int version, int type, const void *buf, size_t len, SSL *ssl,
    void *arg)
{
    (void) version;
    (void) ssl;
    (void) arg;

    if (!sent && type == SSL3_RT_HANDSHAKE && len
        && *(const unsigned char *) buf == SSL3_MT_KEY_UPDATE)
    {
        updates++;
    }
}


static void
check(SSL *ssl, int ret)
{
    if (ret > 0) {
        state = "established";
        return;
    }

    switch (SSL_get_error(ssl, ret)) {

    case SSL_ERROR_WANT_READ:
        return;

    case SSL_ERROR_ZERO_RETURN:
        state = "closed";
        return;

    default:
        state = "failed";
    }
}


static void
answer(SSL *ssl)
{
    int     n;
    char   *data;
    long    len;
    size_t  got;
    BIO    *out;

    got = 0;

    while (SSL_is_init_finished(ssl)) {
        n = SSL_read(ssl, plain + got, (int) (sizeof(plain) - got));

        if (n <= 0) {
            check(ssl, n);
            break;
        }

        got += n;
    }

    out = SSL_get_wbio(ssl);
    len = BIO_get_mem_data(out, &data);

    printf("out %ld plain %zu updates %u state %s\n", len, got, updates,
           state);
    fwrite(data, 1, len, stdout);
    fwrite(plain, 1, got, stdout);
    fflush(stdout);

    (void) BIO_reset(out);
}


int
main(int argc, char **argv)
{
    int       n;
    BIO      *in, *out;
    SSL      *ssl;
    char      name[16];
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL
        || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION)
        || (argc > 1 && !SSL_CTX_set_ciphersuites(ctx, argv[1])))
    {
        die("no SSL_CTX");
    }

    ssl = SSL_new(ctx);
    in = BIO_new(BIO_s_mem());
    out = BIO_new(BIO_s_mem());

    if (ssl == NULL || in == NULL || out == NULL) {
        die("no SSL");
    }

    SSL_set_bio(ssl, in, out);
    SSL_set_msg_callback(ssl, watch);
    SSL_set_connect_state(ssl);

    while (scanf("%15s %d", name, &n) == 2 && getchar() == '\n') {

        if (strcmp(name, "handshake") == 0) {
            check(ssl, SSL_do_handshake(ssl));

        } else if (strcmp(name, "update") == 0) {
            check(ssl, SSL_key_update(ssl, n ? SSL_KEY_UPDATE_REQUESTED
                                             : SSL_KEY_UPDATE_NOT_REQUESTED));
            check(ssl, SSL_do_handshake(ssl));

        } else {
            if (n < 0 || (size_t) n > sizeof(plain)
                || fread(plain, 1, n, stdin) != (size_t) n)
            {
                die("no data");
            }

            if (strcmp(name, "in") == 0) {
                if (n && BIO_write(in, plain, n) != n) {
                    die("BIO_write() failed");
                }

            } else {
                check(ssl, SSL_write(ssl, plain, n));
            }
        }

        answer(ssl);
    }

    SSL_free(ssl);
    SSL_CTX_free(ctx);

    return 0;
}
