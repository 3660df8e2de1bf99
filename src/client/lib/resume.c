
/*
 * Session resumption, see resume.h.
 */


#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "hex.h"
#include "resume.h"


#define ATLS_RESUME_NAME    80
#define ATLS_RESUME_DIGEST  16

/*
 * Seconds since the full handshake, see RFC 5246, section F.1.4.  If a
 * session's secrets are stolen, the server can be impersonated for this time.
 */

#define ATLS_RESUME_LIMIT   (24 * 3600)

/*
 * The format of a stored session: a mark, the time of the full handshake, a
 * SHA-256 digest of the key, the number of certificates, the certificates in
 * DER, each after its length in two bytes, and the SSL_SESSION in DER.
 */

#define ATLS_RESUME_MARK    "ATL1"
#define ATLS_RESUME_TIME    8
#define ATLS_RESUME_SHA256  32
#define ATLS_RESUME_CHAIN   8               /* certificates */

#define ATLS_RESUME_HEAD                                                      \
    (sizeof(ATLS_RESUME_MARK) - 1 + ATLS_RESUME_TIME + ATLS_RESUME_SHA256 + 1)


static int atls_resume_write(const atls_resume_t *resume, const char *key,
    unsigned char *bytes);
static int atls_resume_write_head(unsigned char *bytes, const char *key,
    time_t began);
static size_t atls_resume_write_chain(unsigned char *p, size_t size,
    const atls_resume_t *resume, unsigned char *n);
static int atls_resume_read(atls_resume_t *resume, const char *key,
    const unsigned char *bytes, size_t size);
static const unsigned char *atls_resume_read_chain(atls_resume_t *resume,
    const unsigned char *p, const unsigned char *end, unsigned n);
static int atls_resume_is_valid(const atls_resume_t *resume);
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

    atls_hex(key + used, digest, ATLS_RESUME_DIGEST);

    return rc == 1 ? 0 : -1;
}


void
atls_resume_put(const atls_store_t *store, const char *key,
    const atls_resume_t *resume)
{
    int            size;
    unsigned char  bytes[ATLS_SESSION_SIZE];

    if (store->put == NULL) {
        return;
    }

    size = atls_resume_write(resume, key, bytes);

    if (size > 0) {
        store->put(store->data, key, bytes, (size_t) size);
    }

    OPENSSL_cleanse(bytes, sizeof(bytes));
    ERR_clear_error();
}


/* Returns the number of bytes, or 0 if the session is too large. */

static int
atls_resume_write(const atls_resume_t *resume, const char *key,
    unsigned char *bytes)
{
    int             len;
    size_t          used, chain;
    unsigned char  *p, n;

    len = i2d_SSL_SESSION(resume->session, NULL);

    if (len <= 0 || (size_t) len + ATLS_RESUME_HEAD > ATLS_SESSION_SIZE
        || atls_resume_write_head(bytes, key, resume->began) == -1)
    {
        return 0;
    }

    used = ATLS_RESUME_HEAD;

    chain = atls_resume_write_chain(bytes + used,
                                    ATLS_SESSION_SIZE - used - (size_t) len,
                                    resume, &n);
    bytes[used - 1] = n;
    used += chain;

    p = bytes + used;
    len = i2d_SSL_SESSION(resume->session, &p);

    return len > 0 ? (int) used + len : 0;
}


static int
atls_resume_write_head(unsigned char *bytes, const char *key, time_t began)
{
    int       i;
    uint64_t  time;

    bytes = (unsigned char *) mempcpy(bytes, ATLS_RESUME_MARK,
                                      sizeof(ATLS_RESUME_MARK) - 1);
    time = (uint64_t) began;

    for (i = ATLS_RESUME_TIME - 1; i >= 0; i--) {
        bytes[i] = (unsigned char) time;
        time >>= 8;
    }

    return EVP_Digest(key, strlen(key), bytes + ATLS_RESUME_TIME, NULL,
                      EVP_sha256(), NULL)
           == 1 ? 0 : -1;
}


/*
 * Writes the certificates that fit.  The server certificate is a part of the
 * SSL_SESSION.
 */

static size_t
atls_resume_write_chain(unsigned char *p, size_t size,
    const atls_resume_t *resume, unsigned char *n)
{
    int             i, len;
    X509           *x509, *peer;
    size_t          used;
    unsigned char  *der;

    *n = 0;
    used = 0;
    peer = SSL_SESSION_get0_peer(resume->session);

    for (i = 0; i < sk_X509_num(resume->chain) && *n < ATLS_RESUME_CHAIN; i++) {

        x509 = sk_X509_value(resume->chain, i);
        len = i2d_X509(x509, NULL);

        if (len <= 0 || used + 2 + (size_t) len > size
            || (peer && X509_cmp(x509, peer) == 0))
        {
            continue;
        }

        p[used++] = (unsigned char) (len >> 8);
        p[used++] = (unsigned char) len;

        der = p + used;
        used += (size_t) i2d_X509(x509, &der);
        (*n)++;
    }

    return used;
}


int
atls_resume_take(const atls_store_t *store, const char *key,
    atls_resume_t *resume)
{
    int            rc;
    size_t         size;
    unsigned char  bytes[ATLS_SESSION_SIZE];

    memset(resume, 0, sizeof(atls_resume_t));

    size = store->take ? store->take(store->data, key, bytes, sizeof(bytes))
                       : 0;

    if (size == 0 || size > sizeof(bytes)) {
        return 0;
    }

    rc = atls_resume_read(resume, key, bytes, size);

    if (rc == 0 && !atls_resume_is_valid(resume)) {
        rc = -1;
    }

    if (rc == -1) {
        atls_resume_free(resume);
    }

    OPENSSL_cleanse(bytes, sizeof(bytes));
    ERR_clear_error();

    return rc;
}


/*
 * The key is verified, so that a session cannot be moved to another key in the
 * store.
 */

static int
atls_resume_read(atls_resume_t *resume, const char *key,
    const unsigned char *bytes, size_t size)
{
    int                   i;
    uint64_t              time;
    unsigned char         head[ATLS_RESUME_HEAD];
    const unsigned char  *p, *end;

    if (size < ATLS_RESUME_HEAD
        || atls_resume_write_head(head, key, 0) == -1)
    {
        return -1;
    }

    p = bytes + sizeof(ATLS_RESUME_MARK) - 1;
    end = bytes + size;

    for (i = 0, time = 0; i < ATLS_RESUME_TIME; i++) {
        time = time << 8 | *p++;
    }

    if (memcmp(bytes, head, sizeof(ATLS_RESUME_MARK) - 1) != 0
        || memcmp(p, head + (p - bytes), ATLS_RESUME_SHA256) != 0)
    {
        return -1;
    }

    resume->began = (time_t) time;

    p = atls_resume_read_chain(resume, bytes + ATLS_RESUME_HEAD, end,
                               bytes[ATLS_RESUME_HEAD - 1]);
    if (p == NULL) {
        return -1;
    }

    resume->session = d2i_SSL_SESSION(NULL, &p, (long) (end - p));

    return resume->session && p == end ? 0 : -1;
}


static const unsigned char *
atls_resume_read_chain(atls_resume_t *resume, const unsigned char *p,
    const unsigned char *end, unsigned n)
{
    X509                 *x509;
    size_t                len;
    const unsigned char  *der;

    resume->chain = sk_X509_new_null();

    if (resume->chain == NULL) {
        return NULL;
    }

    while (n--) {

        if (end - p < 2) {
            return NULL;
        }

        len = (size_t) (p[0] << 8 | p[1]);
        p += 2;

        if ((size_t) (end - p) < len) {
            return NULL;
        }

        der = p;
        x509 = d2i_X509(NULL, &der, (long) len);

        if (x509 == NULL || sk_X509_push(resume->chain, x509) == 0) {
            X509_free(x509);
            return NULL;
        }

        p += len;
    }

    return p;
}


void
atls_resume_free(atls_resume_t *resume)
{
    SSL_SESSION_free(resume->session);
    sk_X509_pop_free(resume->chain, X509_free);

    memset(resume, 0, sizeof(atls_resume_t));
}


/*
 * The clock is that of OpenSSL, which sets the time of a session.  In the first
 * milliseconds of a second, time() may still return the last one, and a new
 * session would be from the future.
 */

static int
atls_resume_is_valid(const atls_resume_t *resume)
{
    time_t           now, made;
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    now = ts.tv_sec;
    made = atls_resume_time(resume->session);

    return SSL_SESSION_is_resumable(resume->session)
           && now >= made && made >= resume->began && resume->began >= 0
           && now - made < (time_t) SSL_SESSION_get_timeout(resume->session)
           && now - resume->began < ATLS_RESUME_LIMIT;
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
