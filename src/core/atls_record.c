
/*
 * Record protection, see atls_record.h.
 */


#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "atls_record.h"


#define ATLS_EXPLICIT_NONCE         8
#define ATLS_SALT                   4

/* RFC 5246, section 6.2.3.3: seq_num, type, version, length */

#define ATLS_TLS12_AAD              13

/* Up to so many bytes, a copy takes less than another call of OpenSSL. */

#define ATLS_GATHERED               2048


static size_t atls_explicit_nonce(const atls_cipher_t *c);
static size_t atls_inner_type(const atls_cipher_t *c);
static void atls_seq_encode(uint8_t *p, uint64_t seq);
static int atls_record_begin(atls_cipher_t *c, const uint8_t *record,
    size_t len);
static int atls_record_encrypt(atls_cipher_t *c, uint8_t type,
    const struct iovec *iov, size_t niov, uint8_t *p);
static int atls_record_encrypt_gathered(atls_cipher_t *c, uint8_t type,
    const struct iovec *iov, size_t niov, uint8_t *p);
static int atls_record_finish(atls_cipher_t *c, uint8_t *tag);
static int atls_record_decrypt(atls_cipher_t *c, uint8_t *record, uint8_t *p,
    size_t len);


ssize_t
atls_record_seal(atls_cipher_t *c, unsigned type, const struct iovec *iov,
    size_t niov, uint8_t *out)
{
    int       rc;
    size_t    i, n, len;
    uint8_t  *p;

    n = 0;

    for (i = 0; i < niov; i++) {
        if (iov[i].iov_len > ATLS_MAX_PLAINTEXT - n) {
            return -1;
        }

        n += iov[i].iov_len;
    }

    /* RFC 8446, section 5.3: sequence numbers do not wrap */

    if (c->key->seq == UINT64_MAX) {
        return -1;
    }

    len = atls_explicit_nonce(c) + n + atls_inner_type(c)
          + atls_aead_tag_size(c->aead);

    out[0] = (c->protocol == ATLS_TLSv1_3) ? ATLS_APPLICATION_DATA
                                           : (uint8_t) type;
    out[1] = ATLS_TLSv1_2 >> 8;
    out[2] = ATLS_TLSv1_2 & 0xff;
    out[3] = (uint8_t) (len >> 8);
    out[4] = (uint8_t) len;

    p = out + ATLS_HEADER_SIZE;

    if (atls_explicit_nonce(c)) {
        atls_seq_encode(p, c->key->seq);
        p += ATLS_EXPLICIT_NONCE;
    }

    if (atls_record_begin(c, out, n + atls_inner_type(c)) == -1) {
        return -1;
    }

    /* from here on the nonce is spent, whatever becomes of the record */

    c->key->seq++;

    if (n <= ATLS_GATHERED || atls_aead_ccm(c->aead)) {
        rc = atls_record_encrypt_gathered(c, (uint8_t) type, iov, niov, p);

    } else {
        rc = atls_record_encrypt(c, (uint8_t) type, iov, niov, p);
    }

    return (rc == -1) ? -1 : (ssize_t) (ATLS_HEADER_SIZE + len);
}


ssize_t
atls_record_open(atls_cipher_t *c, uint8_t *record, size_t len,
    unsigned *type, uint8_t **plain)
{
    size_t    n, tag, overhead;
    uint8_t  *p;

    tag = atls_aead_tag_size(c->aead);
    overhead = ATLS_HEADER_SIZE + atls_explicit_nonce(c) + tag;

    if (len < overhead + atls_inner_type(c) || c->key->seq == UINT64_MAX) {
        return -1;
    }

    n = len - overhead;
    p = record + ATLS_HEADER_SIZE + atls_explicit_nonce(c);

    /* a forged record leaves nothing behind in OpenSSL's error queue */

    ERR_set_mark();

    if (atls_record_decrypt(c, record, p, n) == -1) {
        ERR_pop_to_mark();
        OPENSSL_cleanse(p, n);
        return -1;
    }

    ERR_clear_last_mark();

    c->key->seq++;

    *plain = p;

    if (c->protocol != ATLS_TLSv1_3) {
        *type = record[0];
        return (ssize_t) n;
    }

    /* RFC 8446, section 5.4: the type is the last byte that is not zero */

    while (n > 0 && p[n - 1] == 0) {
        n--;
    }

    if (n == 0) {
        *type = 0;
        return 0;
    }

    *type = p[n - 1];

    return (ssize_t) (n - 1);
}


static size_t
atls_explicit_nonce(const atls_cipher_t *c)
{
    /* RFC 5288, section 3; RFC 6655, section 3; not in RFC 7905 */

    if (atls_aead_iv_size(c->aead, c->protocol) == ATLS_SALT) {
        return ATLS_EXPLICIT_NONCE;
    }

    return 0;
}


static size_t
atls_inner_type(const atls_cipher_t *c)
{
    return (c->protocol == ATLS_TLSv1_3) ? 1 : 0;
}


static void
atls_seq_encode(uint8_t *p, uint64_t seq)
{
    int  i;

    for (i = 7; i >= 0; i--) {
        p[i] = (uint8_t) seq;
        seq >>= 8;
    }
}


/*
 * Nonce and additional data of the record whose header and explicit nonce
 * are in place; len is that of what gets encrypted.
 */

static int
atls_record_begin(atls_cipher_t *c, const uint8_t *record, size_t len)
{
    int             i, n;
    size_t          aad_len;
    uint8_t         nonce[ATLS_MAX_IV], aad[ATLS_TLS12_AAD];
    const uint8_t  *p;

    atls_seq_encode(aad, c->key->seq);

    memcpy(nonce, c->key->iv, ATLS_MAX_IV);

    if (atls_explicit_nonce(c)) {
        memcpy(nonce + ATLS_SALT, record + ATLS_HEADER_SIZE,
               ATLS_EXPLICIT_NONCE);

    } else {
        /* RFC 8446, section 5.3; RFC 7905, section 2 */

        for (i = 0; i < 8; i++) {
            nonce[ATLS_MAX_IV - 8 + i] ^= aad[i];
        }
    }

    if (atls_cipher_nonce(c, nonce) == -1) {
        return -1;
    }

    /* RFC 3610, section 2.2: the length is in CCM's first block */

    if (atls_aead_ccm(c->aead)
        && EVP_CipherUpdate(c->ctx, NULL, &n, NULL, (int) len) != 1)
    {
        return -1;
    }

    if (c->protocol == ATLS_TLSv1_3) {
        p = record;
        aad_len = ATLS_HEADER_SIZE;

    } else {
        memcpy(aad + 8, record, 3);
        aad[11] = (uint8_t) (len >> 8);
        aad[12] = (uint8_t) len;

        p = aad;
        aad_len = ATLS_TLS12_AAD;
    }

    if (EVP_CipherUpdate(c->ctx, NULL, &n, p, (int) aad_len) != 1) {
        return -1;
    }

    return 0;
}


static int
atls_record_encrypt(atls_cipher_t *c, uint8_t type, const struct iovec *iov,
    size_t niov, uint8_t *p)
{
    int     n;
    size_t  i;

    for (i = 0; i < niov; i++) {

        /* an empty piece may have no address, which OpenSSL takes amiss */

        if (iov[i].iov_len == 0) {
            continue;
        }

        if (EVP_CipherUpdate(c->ctx, p, &n, iov[i].iov_base,
                             (int) iov[i].iov_len)
            != 1)
        {
            return -1;
        }

        p += n;
    }

    if (c->protocol == ATLS_TLSv1_3) {
        if (EVP_CipherUpdate(c->ctx, p, &n, &type, 1) != 1) {
            return -1;
        }

        p += n;
    }

    return atls_record_finish(c, p);
}


static int
atls_record_encrypt_gathered(atls_cipher_t *c, uint8_t type,
    const struct iovec *iov, size_t niov, uint8_t *p)
{
    int     n;
    size_t  i, len;

    len = 0;

    for (i = 0; i < niov; i++) {
        if (iov[i].iov_len) {
            memcpy(p + len, iov[i].iov_base, iov[i].iov_len);
            len += iov[i].iov_len;
        }
    }

    if (c->protocol == ATLS_TLSv1_3) {
        p[len++] = type;
    }

    if (EVP_CipherUpdate(c->ctx, p, &n, p, (int) len) != 1) {
        return -1;
    }

    return atls_record_finish(c, p + len);
}


static int
atls_record_finish(atls_cipher_t *c, uint8_t *tag)
{
    int  n;

    if (EVP_CipherFinal_ex(c->ctx, tag, &n) != 1) {
        return -1;
    }

    if (EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG,
                            (int) atls_aead_tag_size(c->aead), tag)
        != 1)
    {
        return -1;
    }

    return 0;
}


static int
atls_record_decrypt(atls_cipher_t *c, uint8_t *record, uint8_t *p, size_t len)
{
    int  n;

    if (atls_record_begin(c, record, len) == -1) {
        return -1;
    }

    if (EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG,
                            (int) atls_aead_tag_size(c->aead), p + len)
        != 1)
    {
        return -1;
    }

    /* CCM checks its tag here, even if there is nothing to decrypt */

    if (EVP_CipherUpdate(c->ctx, p, &n, p, (int) len) != 1) {
        return -1;
    }

    if (EVP_CipherFinal_ex(c->ctx, p + len, &n) != 1) {
        return -1;
    }

    return 0;
}
