
/*
 * The SSL_CTX of inner sessions, see tls_ctx.h.
 */


#include <string.h>

#include <openssl/err.h>

#include "tls_ctx.h"


#define ATLS_CTX_MAX_IDENTITY   128         /* limit of OpenSSL's servers */
#define ATLS_CTX_MAX_PSK        256
#define ATLS_CTX_MAX_ALPN       256

/* prefer suites with pre-shared keys in TLS 1.2, too */

#define ATLS_CTX_PSK_CIPHERS    "kECDHEPSK:kDHEPSK:kPSK:DEFAULT"

/* suites without authentication or encryption are never allowed */

#define ATLS_CTX_NEVER          ":!aNULL:!eNULL"


static int atls_ctx_protocols(atls_tls_t *tls, SSL_CTX *ctx,
    const atls_tls_conf_t *conf);
static int atls_ctx_protocol(atls_tls_t *tls, const char *name, int *version);
static int atls_ctx_algorithms(atls_tls_t *tls, SSL_CTX *ctx,
    const atls_tls_conf_t *conf);
static int atls_ctx_ciphers(SSL_CTX *ctx, const char *ciphers);
static int atls_ctx_alpn(atls_tls_t *tls, SSL_CTX *ctx, const char *list);
static int atls_ctx_identity(atls_tls_t *tls, SSL_CTX *ctx,
    const atls_tls_conf_t *conf);
static int atls_ctx_passphrase(char *buf, int size, int rwflag, void *data);
static int atls_ctx_psk(atls_tls_t *tls, SSL_CTX *ctx,
    const atls_tls_conf_t *conf);
static unsigned atls_ctx_psk_client(SSL *ssl, const char *hint, char *identity,
    unsigned identity_size, unsigned char *psk, unsigned psk_size);


SSL_CTX *
atls_ctx_create(atls_tls_t *tls, const atls_tls_conf_t *conf, X509_STORE *trust)
{
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(conf->datagram ? DTLS_client_method()
                                     : TLS_client_method());
    if (ctx == NULL) {
        atls_fail_openssl(tls->failure, ATLS_ERROR_MEMORY,
                          "cannot create a TLS context");
        return NULL;
    }

    SSL_CTX_set1_cert_store(ctx, trust);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);

    if (conf->datagram) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
    }

    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT
                                        | SSL_SESS_CACHE_NO_INTERNAL);

    if (atls_ctx_protocols(tls, ctx, conf) == -1
        || atls_ctx_algorithms(tls, ctx, conf) == -1
        || atls_ctx_identity(tls, ctx, conf) == -1
        || atls_ctx_psk(tls, ctx, conf) == -1)
    {
        SSL_CTX_free(ctx);
        return NULL;
    }

    return ctx;
}


static int
atls_ctx_protocols(atls_tls_t *tls, SSL_CTX *ctx, const atls_tls_conf_t *conf)
{
    int  min, max;

    min = TLS1_2_VERSION;
    max = 0;

    if (atls_ctx_protocol(tls, conf->min_protocol, &min) == -1
        || atls_ctx_protocol(tls, conf->max_protocol, &max) == -1)
    {
        return -1;
    }

    if (conf->datagram && min == TLS1_3_VERSION) {
        atls_fail(tls->failure, ATLS_ERROR_USAGE,
                  "DTLS 1.3 is not supported");
        return -1;
    }

    if (conf->datagram) {
        min = DTLS1_2_VERSION;
        max = DTLS1_2_VERSION;
    }

    if (SSL_CTX_set_min_proto_version(ctx, min) != 1
        || SSL_CTX_set_max_proto_version(ctx, max) != 1)
    {
        atls_fail_openssl(tls->failure, ATLS_ERROR_USAGE,
                          "cannot set the TLS versions");
        return -1;
    }

    return 0;
}


static int
atls_ctx_protocol(atls_tls_t *tls, const char *name, int *version)
{
    if (name == NULL) {
        return 0;
    }

    if (strcmp(name, "TLSv1.2") == 0) {
        *version = TLS1_2_VERSION;
        return 0;
    }

    if (strcmp(name, "TLSv1.3") == 0) {
        *version = TLS1_3_VERSION;
        return 0;
    }

    atls_fail(tls->failure, ATLS_ERROR_USAGE,
              "invalid protocol \"%s\", must be TLSv1.2 or TLSv1.3", name);

    return -1;
}


static int
atls_ctx_algorithms(atls_tls_t *tls, SSL_CTX *ctx, const atls_tls_conf_t *conf)
{
    const char  *wrong, *ciphers;

    wrong = NULL;

    ciphers = conf->ciphers ? conf->ciphers
              : conf->psk_key ? ATLS_CTX_PSK_CIPHERS : NULL;

    if (ciphers && atls_ctx_ciphers(ctx, ciphers) == -1) {
        wrong = ciphers;
    }

    if (conf->ciphersuites
        && SSL_CTX_set_ciphersuites(ctx, conf->ciphersuites) != 1)
    {
        wrong = conf->ciphersuites;
    }

    if (conf->groups && SSL_CTX_set1_groups_list(ctx, conf->groups) != 1) {
        wrong = conf->groups;
    }

    if (wrong) {
        atls_fail_openssl(tls->failure, ATLS_ERROR_CIPHERS,
                          "nothing usable in the list \"%s\"", wrong);
        return -1;
    }

    return atls_ctx_alpn(tls, ctx, conf->alpn ? conf->alpn : "http/1.1");
}


static int
atls_ctx_ciphers(SSL_CTX *ctx, const char *ciphers)
{
    int         rc;
    atls_buf_t  list;

    memset(&list, 0, sizeof(list));

    rc = atls_buf_print(&list, "%s" ATLS_CTX_NEVER, ciphers) == 0
         && SSL_CTX_set_cipher_list(ctx, (char *) list.data) == 1 ? 0 : -1;

    atls_buf_free(&list);

    return rc;
}


/* Converts a list to the format of RFC 7301: each name follows its length. */

static int
atls_ctx_alpn(atls_tls_t *tls, SSL_CTX *ctx, const char *list)
{
    size_t          n, used;
    const char     *p;
    unsigned char   wire[ATLS_CTX_MAX_ALPN];

    if (*list == '\0') {
        return 0;
    }

    used = 0;

    for (p = list; /* void */ ; p += n + 1) {
        n = strcspn(p, ",");

        if (n == 0 || n > 255 || used + 1 + n > sizeof(wire)) {
            atls_fail(tls->failure, ATLS_ERROR_USAGE,
                      "invalid list of application protocols \"%s\"", list);
            return -1;
        }

        wire[used] = (unsigned char) n;
        memcpy(wire + used + 1, p, n);
        used += 1 + n;

        if (p[n] == '\0') {
            break;
        }
    }

    if (SSL_CTX_set_alpn_protos(ctx, wire, (unsigned) used) != 0) {
        atls_fail_memory(tls->failure);
        return -1;
    }

    return 0;
}


static int
atls_ctx_identity(atls_tls_t *tls, SSL_CTX *ctx, const atls_tls_conf_t *conf)
{
    const char  *key;

    /* the callback prevents a prompt on the terminal */

    SSL_CTX_set_default_passwd_cb(ctx, atls_ctx_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, tls);

    if (conf->cert_file == NULL) {
        return 0;
    }

    key = conf->key_file ? conf->key_file : conf->cert_file;

    if (SSL_CTX_use_certificate_chain_file(ctx, conf->cert_file) != 1) {
        atls_fail_openssl(tls->failure, ATLS_ERROR_IDENTITY,
                          "cannot use the certificate \"%s\"",
                          conf->cert_file);
        return -1;
    }

    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1
        || SSL_CTX_check_private_key(ctx) != 1)
    {
        atls_fail_openssl(tls->failure, ATLS_ERROR_IDENTITY,
                          "cannot use the key \"%s\"%s", key,
                          conf->key_file ? "" : ", see --key");
        return -1;
    }

    return 0;
}


static int
atls_ctx_passphrase(char *buf, int size, int rwflag, void *data)
{
    atls_tls_t  *tls = data;

    size_t  n;

    (void) rwflag;

    n = tls->passphrase ? strlen(tls->passphrase) : 0;

    if (n == 0 || n > (size_t) size) {
        return -1;
    }

    memcpy(buf, tls->passphrase, n);

    return (int) n;
}


static int
atls_ctx_psk(atls_tls_t *tls, SSL_CTX *ctx, const atls_tls_conf_t *conf)
{
    long  size;

    if (conf->psk_identity == NULL && conf->psk_key == NULL) {
        return 0;
    }

    if (conf->psk_identity == NULL || conf->psk_key == NULL
        || strlen(conf->psk_identity) > ATLS_CTX_MAX_IDENTITY)
    {
        atls_fail(tls->failure, ATLS_ERROR_USAGE,
                  "a pre-shared key requires an identity of at most %d bytes "
                  "and a key",
                  ATLS_CTX_MAX_IDENTITY);
        return -1;
    }

    tls->psk = OPENSSL_hexstr2buf(conf->psk_key, &size);

    if (tls->psk == NULL || size < 1 || size > ATLS_CTX_MAX_PSK) {
        ERR_clear_error();
        atls_fail(tls->failure, ATLS_ERROR_USAGE,
                  "the pre-shared key must be 1 to %d bytes in hex",
                  ATLS_CTX_MAX_PSK);
        return -1;
    }

    tls->psk_identity = conf->psk_identity;
    tls->psk_size = (size_t) size;

    SSL_CTX_set_psk_client_callback(ctx, atls_ctx_psk_client);

    return 0;
}


static unsigned
atls_ctx_psk_client(SSL *ssl, const char *hint, char *identity,
    unsigned identity_size, unsigned char *psk, unsigned psk_size)
{
    atls_tls_t  *tls = SSL_get_app_data(ssl);

    size_t  n;

    (void) hint;

    n = strlen(tls->psk_identity) + 1;

    if (n > identity_size || tls->psk_size > psk_size) {
        return 0;
    }

    memcpy(identity, tls->psk_identity, n);
    memcpy(psk, tls->psk, tls->psk_size);

    return (unsigned) tls->psk_size;
}
