
/*
 * Record protection, see trl_record.h.
 */


#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "trl_record.h"


#define TRL_EXPLICIT_NONCE          8
#define TRL_SALT                    4

/*
 * RFC 5246, section 6.2.3.3: seq_num, type, version, length; in DTLS, seq_num
 * is the epoch and the number (RFC 6347, section 4.1.2.1)
 */

#define TRL_TLS12_AAD               13

/* Up to this size, a copy takes less time than another call of OpenSSL. */

#define TRL_GATHERED                2048


static size_t trl_header(const trl_cipher_t *c);
static uint8_t *trl_header_write(const trl_cipher_t *c, unsigned type,
    size_t len, uint8_t *p);
static size_t trl_explicit_nonce(const trl_cipher_t *c);
static size_t trl_inner_type(const trl_cipher_t *c);
static void trl_seq_encode(uint8_t *p, uint64_t seq);
static uint64_t trl_seq_decode(const uint8_t *p);
static int trl_record_begin(trl_cipher_t *c, const uint8_t *record,
    size_t len);
static int trl_record_encrypt(trl_cipher_t *c, uint8_t type,
    const struct iovec *iov, size_t niov, uint8_t *p);
static int trl_record_encrypt_gathered(trl_cipher_t *c, uint8_t type,
    const struct iovec *iov, size_t niov, uint8_t *p);
static int trl_record_finish(trl_cipher_t *c, uint8_t *tag);
static int trl_record_decrypt(trl_cipher_t *c, uint8_t *record, uint8_t *p,
    size_t len);


ssize_t
trl_record_seal(trl_cipher_t *c, unsigned type, const struct iovec *iov,
    size_t niov, uint8_t *out)
{
    int       rc;
    size_t    i, n, len;
    uint8_t  *p;

    n = 0;

    for (i = 0; i < niov; i++) {
        if (iov[i].iov_len > TRL_MAX_PLAINTEXT - n) {
            return -1;
        }

        n += iov[i].iov_len;
    }

    /* RFC 8446, section 5.3: sequence numbers do not wrap */

    if (c->key->seq == UINT64_MAX) {
        return -1;
    }

    /* a number that was not reserved may be used by another process */

    if (trl_is_datagram(c->protocol) && c->key->seq >= c->end) {
        return -1;
    }

    len = trl_explicit_nonce(c) + n + trl_inner_type(c)
          + trl_aead_tag_size(c->aead);

    p = trl_header_write(c, type, len, out);

    if (trl_explicit_nonce(c)) {
        trl_seq_encode(p, c->key->seq);
        p += TRL_EXPLICIT_NONCE;
    }

    if (trl_record_begin(c, out, n + trl_inner_type(c)) == -1) {
        return -1;
    }

    /* the nonce counts as used, even if an error follows */

    c->key->seq++;

    if (n <= TRL_GATHERED || trl_aead_ccm(c->aead)) {
        rc = trl_record_encrypt_gathered(c, (uint8_t) type, iov, niov, p);

    } else {
        rc = trl_record_encrypt(c, (uint8_t) type, iov, niov, p);
    }

    return (rc == -1) ? -1 : (ssize_t) (trl_header(c) + len);
}


ssize_t
trl_record_open(trl_cipher_t *c, uint8_t *record, size_t len,
    unsigned *type, uint8_t **plain)
{
    size_t    n, tag, overhead;
    uint8_t  *p;

    tag = trl_aead_tag_size(c->aead);
    overhead = trl_header(c) + trl_explicit_nonce(c) + tag;

    if (len < overhead + trl_inner_type(c)) {
        return -1;
    }

    if (trl_is_datagram(c->protocol)) {
        c->key->seq = trl_seq_decode(record + 3);
    }

    if (c->key->seq == UINT64_MAX) {
        return -1;
    }

    n = len - overhead;
    p = record + trl_header(c) + trl_explicit_nonce(c);

    /* a forged record must leave no errors in the queue of OpenSSL */

    ERR_set_mark();

    if (trl_record_decrypt(c, record, p, n) == -1) {
        ERR_pop_to_mark();
        OPENSSL_cleanse(p, n);
        return -1;
    }

    ERR_clear_last_mark();

    c->key->seq++;

    *plain = p;

    if (c->protocol != TRL_TLSv1_3) {
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
trl_header(const trl_cipher_t *c)
{
    return trl_is_datagram(c->protocol) ? TRL_DATAGRAM_HEADER
                                         : TRL_HEADER_SIZE;
}


/* len: of the record without the header.  Returns the position after it. */

static uint8_t *
trl_header_write(const trl_cipher_t *c, unsigned type, size_t len, uint8_t *p)
{
    unsigned  version;

    version = trl_is_datagram(c->protocol) ? TRL_DTLSv1_2 : TRL_TLSv1_2;

    *p++ = (c->protocol == TRL_TLSv1_3) ? TRL_APPLICATION_DATA
                                        : (uint8_t) type;
    *p++ = (uint8_t) (version >> 8);
    *p++ = (uint8_t) version;

    if (trl_is_datagram(c->protocol)) {
        trl_seq_encode(p, c->key->seq);
        p += 8;
    }

    *p++ = (uint8_t) (len >> 8);
    *p++ = (uint8_t) len;

    return p;
}


static size_t
trl_explicit_nonce(const trl_cipher_t *c)
{
    /* RFC 5288, section 3; RFC 6655, section 3; not in RFC 7905 */

    if (trl_aead_iv_size(c->aead, c->protocol) == TRL_SALT) {
        return TRL_EXPLICIT_NONCE;
    }

    return 0;
}


static size_t
trl_inner_type(const trl_cipher_t *c)
{
    return (c->protocol == TRL_TLSv1_3) ? 1 : 0;
}


static void
trl_seq_encode(uint8_t *p, uint64_t seq)
{
    int  i;

    for (i = 7; i >= 0; i--) {
        p[i] = (uint8_t) seq;
        seq >>= 8;
    }
}


static uint64_t
trl_seq_decode(const uint8_t *p)
{
    int       i;
    uint64_t  seq;

    seq = 0;

    for (i = 0; i < 8; i++) {
        seq = seq << 8 | p[i];
    }

    return seq;
}


/*
 * Sets the nonce and additional data for a record with its header and explicit
 * nonce in place; len is the length to be encrypted.
 */

static int
trl_record_begin(trl_cipher_t *c, const uint8_t *record, size_t len)
{
    int             i, n;
    size_t          aad_len;
    uint8_t         nonce[TRL_MAX_IV], aad[TRL_TLS12_AAD];
    const uint8_t  *p;

    trl_seq_encode(aad, c->key->seq);

    memcpy(nonce, c->key->iv, TRL_MAX_IV);

    if (trl_explicit_nonce(c)) {
        memcpy(nonce + TRL_SALT, record + trl_header(c),
               TRL_EXPLICIT_NONCE);

    } else {
        /* RFC 8446, section 5.3; RFC 7905, section 2 */

        for (i = 0; i < 8; i++) {
            nonce[TRL_MAX_IV - 8 + i] ^= aad[i];
        }
    }

    if (trl_cipher_nonce(c, nonce) == -1) {
        return -1;
    }

    /* RFC 3610, section 2.2: the length is in CCM's first block */

    if (trl_aead_ccm(c->aead)
        && EVP_CipherUpdate(c->ctx, NULL, &n, NULL, (int) len) != 1)
    {
        return -1;
    }

    if (c->protocol == TRL_TLSv1_3) {
        p = record;
        aad_len = TRL_HEADER_SIZE;

    } else {
        memcpy(aad + 8, record, 3);
        aad[11] = (uint8_t) (len >> 8);
        aad[12] = (uint8_t) len;

        p = aad;
        aad_len = TRL_TLS12_AAD;
    }

    if (EVP_CipherUpdate(c->ctx, NULL, &n, p, (int) aad_len) != 1) {
        return -1;
    }

    return 0;
}


static int
trl_record_encrypt(trl_cipher_t *c, uint8_t type, const struct iovec *iov,
    size_t niov, uint8_t *p)
{
    int     n;
    size_t  i;

    for (i = 0; i < niov; i++) {

        /* an empty piece may have a NULL address, which OpenSSL rejects */

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

    if (c->protocol == TRL_TLSv1_3) {
        if (EVP_CipherUpdate(c->ctx, p, &n, &type, 1) != 1) {
            return -1;
        }

        p += n;
    }

    return trl_record_finish(c, p);
}


static int
trl_record_encrypt_gathered(trl_cipher_t *c, uint8_t type,
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

    if (c->protocol == TRL_TLSv1_3) {
        p[len++] = type;
    }

    if (EVP_CipherUpdate(c->ctx, p, &n, p, (int) len) != 1) {
        return -1;
    }

    return trl_record_finish(c, p + len);
}


static int
trl_record_finish(trl_cipher_t *c, uint8_t *tag)
{
    int  n;

    if (EVP_CipherFinal_ex(c->ctx, tag, &n) != 1) {
        return -1;
    }

    if (EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG,
                            (int) trl_aead_tag_size(c->aead), tag)
        != 1)
    {
        return -1;
    }

    return 0;
}


static int
trl_record_decrypt(trl_cipher_t *c, uint8_t *record, uint8_t *p, size_t len)
{
    int  n;

    if (trl_record_begin(c, record, len) == -1) {
        return -1;
    }

    if (EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG,
                            (int) trl_aead_tag_size(c->aead), p + len)
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
