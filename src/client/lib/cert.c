
/*
 * Certificates, see cert.h.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "cert.h"
#include "hex.h"


static char *atls_certificate_name(const X509_NAME *name);


X509_STORE *
atls_trust_create(const char *file, const char *dir, atls_failure_t *failure)
{
    X509_STORE  *store;

    ERR_clear_error();

    store = X509_STORE_new();
    if (store == NULL) {
        atls_fail_memory(failure);
        return NULL;
    }

    if (file && X509_STORE_load_file(store, file) != 1) {
        atls_fail_openssl(failure, ATLS_ERROR_TRUST,
                          "cannot load the CA file \"%s\"", file);
        goto failed;
    }

    /* OpenSSL would not report that the directory does not exist */

    if (dir && access(dir, R_OK | X_OK) == -1) {
        atls_fail(failure, ATLS_ERROR_TRUST,
                  "cannot use the CA directory \"%s\": %s", dir,
                  strerror(errno));
        goto failed;
    }

    if (dir && X509_STORE_load_path(store, dir) != 1) {
        atls_fail_openssl(failure, ATLS_ERROR_TRUST,
                          "cannot use the CA directory \"%s\"", dir);
        goto failed;
    }

    if (file == NULL && dir == NULL && X509_STORE_set_default_paths(store) != 1)
    {
        atls_fail_openssl(failure, ATLS_ERROR_TRUST,
                          "cannot use the system's CA certificates");
        goto failed;
    }

    /* certificates of the file are trusted, even if they are not root CAs */

    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);

    /* missing files of the system's trust store leave errors in the queue */

    ERR_clear_error();

    return store;

failed:

    X509_STORE_free(store);

    return NULL;
}


/*
 * Certificates of the directory are loaded on demand and are not in the store.
 */

int
atls_trust_digest(X509_STORE *trust, char digest[ATLS_TRUST_DIGEST])
{
    int              i, rc;
    EVP_MD_CTX      *ctx;
    unsigned char    md[EVP_MAX_MD_SIZE];
    STACK_OF(X509)  *all;

    all = X509_STORE_get1_all_certs(trust);
    ctx = EVP_MD_CTX_new();

    rc = all && ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

    for (i = 0; rc && i < sk_X509_num(all); i++) {
        rc = X509_digest(sk_X509_value(all, i), EVP_sha256(), md, NULL) == 1
             && EVP_DigestUpdate(ctx, md, 32) == 1;
    }

    rc = rc && EVP_DigestFinal_ex(ctx, md, NULL) == 1;

    if (rc) {
        atls_hex(digest, md, 32);
    }

    EVP_MD_CTX_free(ctx);
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();

    return rc ? 0 : -1;
}


int
atls_certificate_digest(const X509 *x509, char digest[ATLS_TRUST_DIGEST])
{
    unsigned char  md[EVP_MAX_MD_SIZE];

    if (x509 == NULL) {
        *digest = '\0';
        return 0;
    }

    if (X509_digest(x509, EVP_sha256(), md, NULL) != 1) {
        ERR_clear_error();
        return -1;
    }

    atls_hex(digest, md, 32);

    return 0;
}


int
atls_peer_set_param(const atls_peer_t *peer, X509_VERIFY_PARAM *param)
{
    int  rc;

    /* RFC 9110, section 4.3.4: the subject's CN is not used */

    X509_VERIFY_PARAM_set_hostflags(param,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS
                                    | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);

    rc = peer->ip ? X509_VERIFY_PARAM_set1_ip_asc(param, peer->host)
                  : X509_VERIFY_PARAM_set1_host(param, peer->host, 0);

    return rc == 1 ? 0 : -1;
}


/* The parameters are the same as in a handshake. */

long
atls_peer_verify(const atls_peer_t *peer, X509_STORE *trust, int level,
    X509 *x509, STACK_OF(X509) *chain)
{
    long                result;
    X509_STORE_CTX     *ctx;
    X509_VERIFY_PARAM  *param;

    ctx = X509_STORE_CTX_new();

    if (ctx == NULL || X509_STORE_CTX_init(ctx, trust, x509, chain) != 1
        || X509_STORE_CTX_set_default(ctx, "ssl_server") != 1)
    {
        X509_STORE_CTX_free(ctx);
        return X509_V_ERR_OUT_OF_MEM;
    }

    param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_auth_level(param, level);

    if (atls_peer_set_param(peer, param) == -1) {
        result = X509_V_ERR_OUT_OF_MEM;

    } else if (X509_verify_cert(ctx) == 1) {
        result = X509_V_OK;

    } else {
        result = X509_STORE_CTX_get_error(ctx);

        if (result == X509_V_OK) {
            result = X509_V_ERR_UNSPECIFIED;
        }
    }

    X509_STORE_CTX_free(ctx);

    return result;
}


int
atls_peer_matches(const atls_peer_t *peer, X509_STORE_CTX *ctx)
{
    SSL         *ssl;
    size_t       n;
    const char  *name;

    ssl = X509_STORE_CTX_get_ex_data(ctx,
                                     SSL_get_ex_data_X509_STORE_CTX_idx());
    name = ssl ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;

    if (peer->ip || name == NULL) {
        return peer->ip && name == NULL;
    }

    n = strlen(peer->host);

    return strncasecmp(name, peer->host, n) == 0
           && (name[n] == '\0' || strcmp(name + n, ".") == 0);
}


int
atls_certificate_fill(atls_certificate_t *certificate, X509 *x509)
{
    int             len;
    unsigned char  *der;

    der = NULL;

    len = i2d_X509(x509, &der);
    if (len < 0) {
        return -1;
    }

    certificate->der = der;
    certificate->der_size = (size_t) len;
    certificate->subject = atls_certificate_name(X509_get_subject_name(x509));
    certificate->issuer = atls_certificate_name(X509_get_issuer_name(x509));

    if (certificate->subject == NULL || certificate->issuer == NULL
        || EVP_Digest(der, (size_t) len, certificate->sha256, NULL,
                      EVP_sha256(), NULL)
           != 1)
    {
        atls_certificate_clear(certificate);
        return -1;
    }

    return 0;
}


static char *
atls_certificate_name(const X509_NAME *name)
{
    BIO   *bio;
    char  *text, *data;
    long   len;

    bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        return NULL;
    }

    text = NULL;

    if (X509_NAME_print_ex(bio, name, 0,
                           XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB)
        >= 0)
    {
        len = BIO_get_mem_data(bio, &data);

        text = malloc((size_t) len + 1);
        if (text) {
            memcpy(text, data, (size_t) len);
            text[len] = '\0';
            atls_printable(text);
        }
    }

    BIO_free(bio);

    return text;
}


void
atls_certificate_clear(atls_certificate_t *certificate)
{
    OPENSSL_free((void *) certificate->der);
    free((void *) certificate->subject);
    free((void *) certificate->issuer);

    memset(certificate, 0, sizeof(atls_certificate_t));
}


void
atls_certificate_debug(const atls_certificate_t *certificate,
    const atls_debug_t *debug, atls_debug_e what, const char *name)
{
    char  hex[2 * sizeof(certificate->sha256) + 1];

    atls_hex(hex, certificate->sha256, sizeof(certificate->sha256));

    atls_debug(debug, what, "%s: subject %s; issuer %s; SHA-256 %s", name,
               certificate->subject, certificate->issuer, hex);
}
