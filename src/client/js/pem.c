
/*
 * Certificates and keys in PEM format, see pem.h.
 */


#include <openssl/err.h>
#include <openssl/pem.h>

#include "pem.h"


STACK_OF(X509) *
js_pem_certificates(const char *text)
{
    BIO             *bio;
    X509            *x509;
    STACK_OF(X509)  *list;

    ERR_clear_error();

    bio = BIO_new_mem_buf(text, -1);
    list = sk_X509_new_null();

    while (bio && list) {
        x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);

        if (x509 == NULL) {
            break;
        }

        if (sk_X509_push(list, x509) == 0) {
            X509_free(x509);
            break;
        }
    }

    BIO_free(bio);

    /* the end of the text is an error, too */

    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE
        || sk_X509_num(list) < 1)
    {
        sk_X509_pop_free(list, X509_free);
        return NULL;
    }

    ERR_clear_error();

    return list;
}


EVP_PKEY *
js_pem_key(const char *text, const char *passphrase)
{
    BIO       *bio;
    EVP_PKEY  *key;

    ERR_clear_error();

    bio = BIO_new_mem_buf(text, -1);
    if (bio == NULL) {
        return NULL;
    }

    /* without a callback, the last argument is the passphrase */

    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *) passphrase);

    BIO_free(bio);

    return key;
}
