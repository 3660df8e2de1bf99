
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


/*
 * Measures the server's part of a TLS 1.3 handshake in OpenSSL, in memory,
 * without nginx and a network: a lower bound for all transports.
 *
 *     handshake [-q]
 *
 * Each line of the output is a name, the key size (256: P-256, 2048: RSA), and
 * the CPU time of a handshake in microseconds.  "alone" is a handshake as in
 * HTTPS; in "logged", OpenSSL also passes the traffic secrets to a callback.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>


#define HANDSHAKE_ROUNDS  5


static EVP_PKEY *make_key(int bits);
static X509 *make_cert(EVP_PKEY *key);
static SSL_CTX *make_server(int bits);
static double measure(SSL_CTX *server, SSL_CTX *client, int n);
static double handshake(SSL_CTX *server, SSL_CTX *client);
static SSL *make_ssl(SSL_CTX *ctx);
static void carry(SSL *from, SSL *to);
static void message(int write_p, int version, int type, const void *buf,
    size_t len, SSL *ssl, void *arg);
static void keylog(const SSL *ssl, const char *line);
static double cpu(void);
static void must(int pass, const char *what);


int
main(int argc, char **argv)
{
    int       i, n, round;
    SSL_CTX  *client, *server;

    static const int  bits[] = { 256, 2048 };

    n = (argc > 1 && strcmp(argv[1], "-q") == 0) ? 100 : 500;

    client = SSL_CTX_new(TLS_client_method());
    must(client != NULL, "SSL_CTX_new()");

    for (i = 0; i < 2; i++) {
        server = make_server(bits[i]);

        (void) measure(server, client, 50);

        for (round = 0; round < HANDSHAKE_ROUNDS; round++) {

            SSL_CTX_set_msg_callback(server, NULL);
            SSL_CTX_set_keylog_callback(server, NULL);

            printf("alone\t%d\t%.1f\n", bits[i], measure(server, client, n));

            SSL_CTX_set_msg_callback(server, message);

            printf("logged\t%d\t%.1f\n", bits[i], measure(server, client, n));
        }

        SSL_CTX_free(server);
    }

    SSL_CTX_free(client);

    return 0;
}


static EVP_PKEY *
make_key(int bits)
{
    return (bits == 256) ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                         : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) bits);
}


static X509 *
make_cert(EVP_PKEY *key)
{
    X509       *cert;
    X509_NAME  *name;

    cert = X509_new();
    name = X509_NAME_new();

    must(cert != NULL && name != NULL
         && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                       (const unsigned char *) "localhost",
                                       -1, -1, 0)
         && X509_set_version(cert, X509_VERSION_3)
         && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1)
         && X509_set_subject_name(cert, name)
         && X509_set_issuer_name(cert, name)
         && X509_gmtime_adj(X509_getm_notBefore(cert), 0) != NULL
         && X509_gmtime_adj(X509_getm_notAfter(cert), 86400) != NULL
         && X509_set_pubkey(cert, key)
         && X509_sign(cert, key, EVP_sha256()),
         "a certificate");

    X509_NAME_free(name);

    return cert;
}


static SSL_CTX *
make_server(int bits)
{
    X509      *cert;
    SSL_CTX   *ctx;
    EVP_PKEY  *key;

    ctx = SSL_CTX_new(TLS_server_method());
    key = make_key(bits);
    must(ctx != NULL && key != NULL, "a server");

    cert = make_cert(key);

    must(SSL_CTX_use_certificate(ctx, cert)
         && SSL_CTX_use_PrivateKey(ctx, key)
         && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION),
         "a server");

    X509_free(cert);
    EVP_PKEY_free(key);

    return ctx;
}


static double
measure(SSL_CTX *server, SSL_CTX *client, int n)
{
    int     i;
    double  sum;

    sum = 0;

    for (i = 0; i < n; i++) {
        sum += handshake(server, client);
    }

    return sum / n;
}


/* Returns the time of the server's part, in microseconds. */

static double
handshake(SSL_CTX *server, SSL_CTX *client)
{
    SSL     *c, *s;
    double   from, sum;

    from = cpu();
    s = make_ssl(server);
    SSL_set_accept_state(s);
    sum = cpu() - from;

    c = make_ssl(client);
    SSL_set_connect_state(c);
    must(SSL_set_tlsext_host_name(c, "localhost") == 1, "a server name");

    while (!SSL_is_init_finished(s)) {
        (void) SSL_do_handshake(c);

        from = cpu();
        carry(c, s);
        (void) SSL_do_handshake(s);
        sum += cpu() - from;

        must(ERR_peek_error() == 0, "a handshake");

        carry(s, c);
    }

    from = cpu();
    SSL_set_shutdown(s, SSL_SENT_SHUTDOWN|SSL_RECEIVED_SHUTDOWN);
    SSL_free(s);
    sum += cpu() - from;

    SSL_free(c);

    return sum;
}


static SSL *
make_ssl(SSL_CTX *ctx)
{
    BIO  *in, *out;
    SSL  *ssl;

    ssl = SSL_new(ctx);
    in = BIO_new(BIO_s_mem());
    out = BIO_new(BIO_s_mem());

    must(ssl != NULL && in != NULL && out != NULL, "SSL_new()");

    SSL_set_bio(ssl, in, out);

    return ssl;
}


static void
carry(SSL *from, SSL *to)
{
    long   len;
    char  *data;

    len = BIO_get_mem_data(SSL_get_wbio(from), &data);

    must(len == 0
         || BIO_write(SSL_get_rbio(to), data, (int) len) == (int) len,
         "BIO_write()");

    (void) BIO_reset(SSL_get_wbio(from));
}


/* As src/core/trl_state.c has it. */

static void
message(int write_p, int version, int type, const void *buf, size_t len,
    SSL *ssl, void *arg)
{
    const unsigned char  *p = buf;

    (void) write_p;
    (void) version;
    (void) arg;

    if (type == SSL3_RT_HANDSHAKE && len) {
        SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(ssl),
                                    p[0] == SSL3_MT_FINISHED ? keylog : NULL);
    }
}


static void
keylog(const SSL *ssl, const char *line)
{
    (void) ssl;
    (void) line;
}


static double
cpu(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec * 1e6 + (double) ts.tv_nsec / 1e3;
}


static void
must(int pass, const char *what)
{
    if (!pass) {
        fprintf(stderr, "handshake: %s failed\n", what);
        ERR_print_errors_fp(stderr);
        exit(1);
    }
}
