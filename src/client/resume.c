
/*
 * Resumption, see resume.h.
 */


#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "resume.h"


#define ATLS_RESUME_TRIES   8               /* sessions that may be stale */
#define ATLS_RESUME_NAME    80
#define ATLS_RESUME_DIGEST  16


static int atls_resume_good(SSL_SESSION *session);
static time_t atls_resume_time(SSL_SESSION *session);


int
atls_resume_key(char key[ATLS_RESUME_KEY], const char *const *what, size_t n)
{
    int             rc;
    size_t          i, used;
    EVP_MD_CTX     *ctx;
    unsigned char   digest[EVP_MAX_MD_SIZE];

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return -1;
    }

    rc = EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

    for (i = 0; i < n; i++) {
        rc &= what[i] ? EVP_DigestUpdate(ctx, what[i], strlen(what[i]) + 1)
                      : EVP_DigestUpdate(ctx, "\377", 1);
    }

    rc &= EVP_DigestFinal_ex(ctx, digest, NULL);

    EVP_MD_CTX_free(ctx);

    used = (size_t) snprintf(key, ATLS_RESUME_NAME, "%s", what[0]);

    if (used >= ATLS_RESUME_NAME) {
        used = ATLS_RESUME_NAME - 1;
    }

    key[used++] = ' ';

    for (i = 0; i < ATLS_RESUME_DIGEST; i++) {
        used += (size_t) snprintf(key + used, 3, "%02x", digest[i]);
    }

    return rc == 1 ? 0 : -1;
}


void
atls_resume_put(const atls_store_t *store, const char *key,
    SSL_SESSION *session)
{
    int             len;
    unsigned char  *p, bytes[ATLS_SESSION_SIZE];

    if (store->put == NULL) {
        return;
    }

    len = i2d_SSL_SESSION(session, NULL);

    if (len <= 0 || len > ATLS_SESSION_SIZE) {
        ERR_clear_error();
        return;
    }

    p = bytes;
    len = i2d_SSL_SESSION(session, &p);

    if (len > 0) {
        store->put(store->data, key, bytes, (size_t) len);
    }

    OPENSSL_cleanse(bytes, sizeof(bytes));
}


SSL_SESSION *
atls_resume_take(const atls_store_t *store, const char *key)
{
    int                   i;
    size_t                len;
    SSL_SESSION          *session;
    unsigned char         bytes[ATLS_SESSION_SIZE];
    const unsigned char  *p;

    session = NULL;

    for (i = 0; store->take && i < ATLS_RESUME_TRIES; i++) {

        len = store->take(store->data, key, bytes, sizeof(bytes));

        if (len == 0 || len > sizeof(bytes)) {
            break;
        }

        p = bytes;
        session = d2i_SSL_SESSION(NULL, &p, (long) len);

        if (session && atls_resume_good(session)) {
            break;
        }

        SSL_SESSION_free(session);
        session = NULL;
    }

    OPENSSL_cleanse(bytes, sizeof(bytes));
    ERR_clear_error();

    return session;
}


/*
 * A certificate is verified when a session begins, not when it is resumed: it
 * must not live on in that way.
 */

static int
atls_resume_good(SSL_SESSION *session)
{
    X509       *x509;
    time_t      now, made;

    now = time(NULL);
    made = atls_resume_time(session);

    if (now < made || now - made >= (time_t) SSL_SESSION_get_timeout(session)
        || !SSL_SESSION_is_resumable(session))
    {
        return 0;
    }

    x509 = SSL_SESSION_get0_peer(session);

    return x509 == NULL
           || (X509_cmp_current_time(X509_get0_notAfter(x509)) > 0
               && X509_cmp_current_time(X509_get0_notBefore(x509)) < 0);
}


static time_t
atls_resume_time(SSL_SESSION *session)
{
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
    return SSL_SESSION_get_time_ex(session);
#else
    return (time_t) SSL_SESSION_get_time(session);
#endif
}
