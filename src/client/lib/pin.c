
/*
 * Pinned public keys, see pin.h.
 */


#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "pin.h"


#define ATLS_PIN_PREFIX     "sha256//"
#define ATLS_PIN_BASE64     44              /* length of a digest in base64 */
#define ATLS_PIN_DECODED    33              /* with the padding */


static int atls_pins_list(atls_pins_t *pins, const char *text);
static int atls_pins_decode(unsigned char digest[ATLS_PIN_DIGEST],
    const char *text, size_t n);
static int atls_pins_file(atls_pins_t *pins, const char *name,
    atls_failure_t *failure);
static EVP_PKEY *atls_pins_read(const char *name);
static unsigned char *atls_pins_add(atls_pins_t *pins);


int
atls_pins_parse(atls_pins_t *pins, const char *text, atls_failure_t *failure)
{
    if (strncmp(text, ATLS_PIN_PREFIX, sizeof(ATLS_PIN_PREFIX) - 1) != 0) {
        return atls_pins_file(pins, text, failure);
    }

    if (atls_pins_list(pins, text) == -1) {
        atls_fail(failure, ATLS_ERROR_PIN,
                  "invalid list of pinned keys \"%s\"", text);
        return -1;
    }

    return 0;
}


static int
atls_pins_list(atls_pins_t *pins, const char *text)
{
    size_t          n;
    unsigned char  *digest;

    for ( ;; ) {

        if (strncmp(text, ATLS_PIN_PREFIX, sizeof(ATLS_PIN_PREFIX) - 1) != 0) {
            return -1;
        }

        text += sizeof(ATLS_PIN_PREFIX) - 1;
        n = strcspn(text, ";");
        digest = atls_pins_add(pins);

        if (digest == NULL || atls_pins_decode(digest, text, n) == -1) {
            return -1;
        }

        text += n;

        if (*text++ == '\0') {
            return 0;
        }
    }
}


static int
atls_pins_decode(unsigned char digest[ATLS_PIN_DIGEST], const char *text,
    size_t n)
{
    unsigned char  decoded[ATLS_PIN_DECODED];

    if (n != ATLS_PIN_BASE64 || text[n - 1] != '=' || text[n - 2] == '='
        || EVP_DecodeBlock(decoded, (const unsigned char *) text, (int) n)
           != ATLS_PIN_DECODED)
    {
        return -1;
    }

    memcpy(digest, decoded, ATLS_PIN_DIGEST);

    return 0;
}


static int
atls_pins_file(atls_pins_t *pins, const char *name, atls_failure_t *failure)
{
    int             len;
    EVP_PKEY       *key;
    unsigned char  *der, *digest;

    ERR_clear_error();

    der = NULL;
    key = atls_pins_read(name);
    len = key ? i2d_PUBKEY(key, &der) : -1;
    EVP_PKEY_free(key);

    if (len < 0) {
        atls_fail_openssl(failure, ATLS_ERROR_PIN,
                          "cannot read a public key from \"%s\"", name);
        return -1;
    }

    digest = atls_pins_add(pins);

    if (digest == NULL
        || EVP_Digest(der, (size_t) len, digest, NULL, EVP_sha256(), NULL) != 1)
    {
        OPENSSL_free(der);
        atls_fail_memory(failure);
        return -1;
    }

    OPENSSL_free(der);

    return 0;
}


/* Reads a public key in PEM or DER format. */

static EVP_PKEY *
atls_pins_read(const char *name)
{
    BIO       *bio;
    EVP_PKEY  *key;

    bio = BIO_new_file(name, "rb");
    if (bio == NULL) {
        return NULL;
    }

    key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);

    if (key == NULL && BIO_seek(bio, 0) == 0) {
        ERR_clear_error();
        key = d2i_PUBKEY_bio(bio, NULL);
    }

    BIO_free(bio);

    return key;
}


static unsigned char *
atls_pins_add(atls_pins_t *pins)
{
    unsigned char  (*digests)[ATLS_PIN_DIGEST];

    digests = realloc(pins->digests, (pins->n + 1) * sizeof(*digests));
    if (digests == NULL) {
        return NULL;
    }

    pins->digests = digests;

    return pins->digests[pins->n++];
}


int
atls_pins_match(const atls_pins_t *pins, const X509 *x509)
{
    int             len;
    size_t          i;
    unsigned char  *der, digest[ATLS_PIN_DIGEST];

    if (pins->n == 0) {
        return 1;
    }

    der = NULL;
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);

    if (len < 0
        || EVP_Digest(der, (size_t) len, digest, NULL, EVP_sha256(), NULL) != 1)
    {
        OPENSSL_free(der);
        return 0;
    }

    OPENSSL_free(der);

    for (i = 0; i < pins->n; i++) {
        if (memcmp(pins->digests[i], digest, ATLS_PIN_DIGEST) == 0) {
            return 1;
        }
    }

    return 0;
}


void
atls_pins_free(atls_pins_t *pins)
{
    free(pins->digests);
    memset(pins, 0, sizeof(atls_pins_t));
}
