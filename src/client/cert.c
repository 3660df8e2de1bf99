
/*
 * Certificates, see cert.h.
 */


#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "cert.h"


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
        atls_fail_openssl(failure, ATLS_ERROR_USAGE,
                          "cannot load the CA file \"%s\"", file);
        goto failed;
    }

    if (dir && X509_STORE_load_path(store, dir) != 1) {
        atls_fail_openssl(failure, ATLS_ERROR_USAGE,
                          "cannot use the CA directory \"%s\"", dir);
        goto failed;
    }

    if (file == NULL && dir == NULL && X509_STORE_set_default_paths(store) != 1)
    {
        atls_fail_openssl(failure, ATLS_ERROR_USAGE,
                          "cannot use the system's CA certificates");
        goto failed;
    }

    /* who is in the file is trusted, root or not */

    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);

    /* absent files of the system leave errors behind */

    ERR_clear_error();

    return store;

failed:

    X509_STORE_free(store);

    return NULL;
}


int
atls_peer_expect(const atls_peer_t *peer, X509_VERIFY_PARAM *param)
{
    int  rc;

    X509_VERIFY_PARAM_set_hostflags(param,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);

    rc = peer->ip ? X509_VERIFY_PARAM_set1_ip_asc(param, peer->host)
                  : X509_VERIFY_PARAM_set1_host(param, peer->host, 0);

    return rc == 1 ? 0 : -1;
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
    char    hex[2 * sizeof(certificate->sha256) + 1];
    size_t  i;

    for (i = 0; i < sizeof(certificate->sha256); i++) {
        snprintf(hex + 2 * i, 3, "%02x", certificate->sha256[i]);
    }

    atls_debug(debug, what, "%s: subject %s; issuer %s; SHA-256 %s", name,
               certificate->subject, certificate->issuer, hex);
}
