
/*
 * Messages, see ece.h.
 */


#include <string.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "ece.h"


#define ATLS_ECE_SALT           16
#define ATLS_ECE_HEADER         (ATLS_ECE_SALT + 4 + 1)
#define ATLS_ECE_TAG            16

/* delimiters */

#define ATLS_ECE_MORE           1
#define ATLS_ECE_LAST           2


static EVP_CIPHER_CTX *atls_ece_ctx(const unsigned char *key,
    const unsigned char *salt, unsigned char *nonce, int sealing);
static int atls_ece_hkdf(const unsigned char *prk, const char *info, size_t n,
    unsigned char *out);
static void atls_ece_nonce(const unsigned char *nonce, uint64_t number,
    unsigned char *out);
static int atls_ece_header(atls_buf_t *out, const unsigned char *salt,
    const char *keyid);
static int atls_ece_record(EVP_CIPHER_CTX *ctx, const unsigned char *nonce,
    unsigned char *record, size_t n);
static atls_error_e atls_ece_begin(atls_ece_t *ece);
static atls_error_e atls_ece_next(atls_ece_t *ece, size_t n);
static int atls_ece_decrypt(atls_ece_t *ece, unsigned char *record, size_t n);


int
atls_ece_seal(atls_buf_t *out, const unsigned char *key, const char *keyid,
    const unsigned char *plain, size_t n)
{
    int              rc;
    size_t           piece, size;
    uint64_t         number;
    unsigned char   *record, salt[ATLS_ECE_SALT], nonce[12], iv[12];
    EVP_CIPHER_CTX  *ctx;

    if (RAND_bytes(salt, ATLS_ECE_SALT) != 1
        || atls_ece_header(out, salt, keyid) == -1)
    {
        return -1;
    }

    ctx = atls_ece_ctx(key, salt, nonce, 1);
    if (ctx == NULL) {
        return -1;
    }

    number = 0;

    do {
        piece = n < ATLS_ECE_SIZE - 17 ? n : ATLS_ECE_SIZE - 17;
        n -= piece;

        rc = atls_buf_reserve(out, ATLS_ECE_SIZE);
        if (rc == -1) {
            break;
        }

        record = out->data + out->len;
        size = n ? ATLS_ECE_SIZE - ATLS_ECE_TAG : piece + 1;

        memset(record, 0, size);
        if (piece) {
            memcpy(record, plain, piece);
        }
        record[piece] = n ? ATLS_ECE_MORE : ATLS_ECE_LAST;

        atls_ece_nonce(nonce, number++, iv);

        rc = atls_ece_record(ctx, iv, record, size);

        out->len += size + ATLS_ECE_TAG;
        plain += piece;

    } while (rc == 0 && n);

    EVP_CIPHER_CTX_free(ctx);
    OPENSSL_cleanse(nonce, sizeof(nonce));

    return rc;
}


/* RFC 8188, sections 2.2 and 2.3: the key is set, the nonce is returned. */

static EVP_CIPHER_CTX *
atls_ece_ctx(const unsigned char *key, const unsigned char *salt,
    unsigned char *nonce, int sealing)
{
    unsigned char    prk[32], cek[32], derived[32];
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL
        || HMAC(EVP_sha256(), salt, ATLS_ECE_SALT, key, ATLS_ECE_KEY, prk, NULL)
           == NULL
        || atls_ece_hkdf(prk, "Content-Encoding: aes128gcm",
                         sizeof("Content-Encoding: aes128gcm"), cek)
           == -1
        || atls_ece_hkdf(prk, "Content-Encoding: nonce",
                         sizeof("Content-Encoding: nonce"), derived)
           == -1
        || EVP_CipherInit_ex(ctx, EVP_aes_128_gcm(), NULL, cek, NULL, sealing)
           != 1)
    {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }

    memcpy(nonce, derived, 12);

    OPENSSL_cleanse(prk, sizeof(prk));
    OPENSSL_cleanse(cek, sizeof(cek));
    OPENSSL_cleanse(derived, sizeof(derived));

    return ctx;
}


/* The first block is sufficient. */

static int
atls_ece_hkdf(const unsigned char *prk, const char *info, size_t n,
    unsigned char *out)
{
    unsigned char  data[64];

    memcpy(data, info, n);
    data[n] = 1;

    return HMAC(EVP_sha256(), prk, 32, data, n + 1, out, NULL) ? 0 : -1;
}


static void
atls_ece_nonce(const unsigned char *nonce, uint64_t number, unsigned char *out)
{
    int  i;

    memcpy(out, nonce, 12);

    for (i = 11; number; i--) {
        out[i] ^= (unsigned char) number;
        number >>= 8;
    }
}


static int
atls_ece_header(atls_buf_t *out, const unsigned char *salt, const char *keyid)
{
    size_t         n;
    unsigned char  size[5];

    n = strlen(keyid);

    size[0] = 0;
    size[1] = 0;
    size[2] = (unsigned char) (ATLS_ECE_SIZE >> 8);
    size[3] = (unsigned char) ATLS_ECE_SIZE;
    size[4] = (unsigned char) n;

    return n > 255 || atls_buf_add(out, salt, ATLS_ECE_SALT) == -1
           || atls_buf_add(out, size, sizeof(size)) == -1
           ? -1 : atls_buf_add(out, keyid, n);
}


/* Encrypts in place; the tag follows. */

static int
atls_ece_record(EVP_CIPHER_CTX *ctx, const unsigned char *nonce,
    unsigned char *record, size_t n)
{
    int  len;

    return EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, -1) == 1
           && EVP_CipherUpdate(ctx, record, &len, record, (int) n) == 1
           && EVP_CipherFinal_ex(ctx, record + n, &len) == 1
           && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, ATLS_ECE_TAG,
                                  record + n)
              == 1
           ? 0 : -1;
}


atls_error_e
atls_ece_open(atls_ece_t *ece, const unsigned char *bytes, size_t n)
{
    size_t        piece, room;
    atls_error_e  rc;

    for (rc = ATLS_OK; n && rc == ATLS_OK; n -= piece) {

        room = ece->size ? ece->size : ATLS_ECE_HEADER;

        if (ece->size == 0 && ece->buf.len >= ATLS_ECE_HEADER) {
            room += ece->buf.data[ATLS_ECE_HEADER - 1];
        }

        room -= ece->buf.len;
        piece = n < room ? n : room;

        if (atls_buf_add(&ece->buf, bytes, piece) == -1) {
            return atls_fail_memory(ece->failure);
        }

        bytes += piece;

        if (ece->size == 0) {
            rc = atls_ece_begin(ece);

        } else if (piece == room) {
            rc = atls_ece_next(ece, ece->size);
        }
    }

    return rc;
}


/* Reads the header when it is complete. */

static atls_error_e
atls_ece_begin(atls_ece_t *ece)
{
    size_t          n, size;
    unsigned char  *p = ece->buf.data;

    if (ece->buf.len < ATLS_ECE_HEADER) {
        return ATLS_OK;
    }

    n = p[ATLS_ECE_HEADER - 1];

    if (ece->buf.len < ATLS_ECE_HEADER + n) {
        return ATLS_OK;
    }

    size = (size_t) p[16] << 24 | (size_t) p[17] << 16 | (size_t) p[18] << 8
           | p[19];

    if (size < ATLS_ECE_MIN || size > ATLS_ECE_MAX
        || n != strlen(ece->keyid)
        || memcmp(p + ATLS_ECE_HEADER, ece->keyid, n) != 0)
    {
        ece->failure->fault = ATLS_FAULT_CACHED;

        return atls_fail(ece->failure, ATLS_ERROR_TLS,
                         "the response is not the one to the request");
    }

    ece->ctx = atls_ece_ctx(ece->key, p, ece->nonce, 0);
    if (ece->ctx == NULL) {
        return atls_fail_memory(ece->failure);
    }

    ece->size = size;
    ece->buf.len = 0;

    return ATLS_OK;
}


static atls_error_e
atls_ece_next(atls_ece_t *ece, size_t n)
{
    unsigned char  *p = ece->buf.data;

    if (ece->last || n <= ATLS_ECE_TAG || atls_ece_decrypt(ece, p, n) == -1) {
        goto invalid;
    }

    /* RFC 8188, section 2: the delimiter is followed by zeros */

    for (n -= ATLS_ECE_TAG; n && p[n - 1] == 0; n--) { /* void */ }

    if (n == 0 || (p[n - 1] != ATLS_ECE_LAST && p[n - 1] != ATLS_ECE_MORE)) {
        goto invalid;
    }

    ece->last = p[n - 1] == ATLS_ECE_LAST;

    if (!ece->last && ece->buf.len != ece->size) {
        goto invalid;
    }

    ece->buf.len = 0;

    return n > 1 ? ece->sink(ece->data, p, n - 1) : ATLS_OK;

invalid:

    ece->failure->fault = ATLS_FAULT_CHANGED;

    return atls_fail(ece->failure, ATLS_ERROR_TLS,
                     "the response is not authentic");
}


static int
atls_ece_decrypt(atls_ece_t *ece, unsigned char *record, size_t n)
{
    int            len;
    unsigned char  iv[12];

    n -= ATLS_ECE_TAG;

    atls_ece_nonce(ece->nonce, ece->number++, iv);

    return EVP_CipherInit_ex(ece->ctx, NULL, NULL, NULL, iv, -1) == 1
           && EVP_CIPHER_CTX_ctrl(ece->ctx, EVP_CTRL_AEAD_SET_TAG, ATLS_ECE_TAG,
                                  record + n)
              == 1
           && EVP_CipherUpdate(ece->ctx, record, &len, record, (int) n) == 1
           && EVP_CipherFinal_ex(ece->ctx, record + n, &len) == 1
           ? 0 : -1;
}


atls_error_e
atls_ece_end(atls_ece_t *ece)
{
    atls_error_e  rc;

    rc = ATLS_OK;

    if (ece->size && ece->buf.len) {
        rc = atls_ece_next(ece, ece->buf.len);
    }

    if (rc == ATLS_OK && !ece->last) {
        ece->failure->fault = ATLS_FAULT_NO_BODY;

        return atls_fail(ece->failure, ATLS_ERROR_TRUNCATED,
                         "the last record of the response is missing");
    }

    return rc;
}


void
atls_ece_free(atls_ece_t *ece)
{
    EVP_CIPHER_CTX_free(ece->ctx);
    atls_buf_free(&ece->buf);
    OPENSSL_cleanse(ece->nonce, sizeof(ece->nonce));
}
