
/*
 * Encrypted Content-Encoding, see trl_ece.h.
 */


#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "trl_derive.h"
#include "trl_ece.h"


#define TRL_ECE_TAG                 16

/* padding delimiters, section 2 */

#define TRL_ECE_MORE                1
#define TRL_ECE_LAST                2


#define trl_ece_info(s)             { (const uint8_t *) s, sizeof(s) }


static int trl_ece_begin(trl_ece_t *ece);
static int trl_ece_decrypt(trl_ece_t *ece, uint8_t *p, size_t len);
static ssize_t trl_ece_unpad(trl_ece_t *ece, const uint8_t *p, size_t len);


size_t
trl_ece_header_read(trl_ece_header_t *header, const uint8_t *p, size_t len)
{
    if (len < TRL_ECE_HEADER) {
        return 0;
    }

    header->salt = p;
    p += TRL_ECE_SALT;

    header->size = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
                   | (uint32_t) p[2] << 8 | p[3];

    header->keyid_len = p[4];
    header->keyid = p + 5;

    return (len - TRL_ECE_HEADER < header->keyid_len)
           ? 0 : TRL_ECE_HEADER + header->keyid_len;
}


size_t
trl_ece_header_write(const trl_ece_header_t *header, uint8_t *p)
{
    memcpy(p, header->salt, TRL_ECE_SALT);
    p += TRL_ECE_SALT;

    *p++ = (uint8_t) (header->size >> 24);
    *p++ = (uint8_t) (header->size >> 16);
    *p++ = (uint8_t) (header->size >> 8);
    *p++ = (uint8_t) header->size;

    *p++ = (uint8_t) header->keyid_len;
    memcpy(p, header->keyid, header->keyid_len);

    return TRL_ECE_HEADER + header->keyid_len;
}


/* Sections 2.2 and 2.3; the zero octet of each info is that of the string. */

int
trl_ece_init(trl_ece_t *ece, const uint8_t *ikm, size_t ikm_len,
    const uint8_t *salt, size_t size, int sealing)
{
    uint8_t     prk[TRL_MAX_HASH];
    trl_seed_t  secret, extract, key;

    static const trl_seed_t  cek = trl_ece_info("Content-Encoding: aes128gcm");
    static const trl_seed_t  nonce = trl_ece_info("Content-Encoding: nonce");

    memset(ece, 0, sizeof(trl_ece_t));

    if (size < TRL_ECE_MIN_SIZE) {
        return -1;
    }

    ece->size = size;

    secret.data = ikm;
    secret.len = ikm_len;
    extract.data = salt;
    extract.len = TRL_ECE_SALT;
    key.data = prk;
    key.len = trl_hash_size(TRL_SHA256);

    if (trl_hmac(TRL_SHA256, &extract, &secret, 1, prk) == -1
        || trl_hkdf_expand(TRL_SHA256, &key, &cek, ece->key.key,
                           trl_aead_key_size(TRL_AES_128_GCM))
           == -1
        || trl_hkdf_expand(TRL_SHA256, &key, &nonce, ece->key.iv, TRL_MAX_IV)
           == -1
        || trl_cipher_init(&ece->cipher, TRL_TLSv1_3, TRL_AES_128_GCM,
                           &ece->key, sealing)
           == -1)
    {
        OPENSSL_cleanse(prk, sizeof(prk));
        trl_ece_done(ece);
        return -1;
    }

    OPENSSL_cleanse(prk, sizeof(prk));

    return 0;
}


void
trl_ece_done(trl_ece_t *ece)
{
    trl_cipher_done(&ece->cipher);
    OPENSSL_cleanse(ece, sizeof(trl_ece_t));
}


ssize_t
trl_ece_open(trl_ece_t *ece, uint8_t *record, size_t len)
{
    if (ece->last || len < TRL_ECE_OVERHEAD || len > ece->size) {
        return -1;
    }

    /* a forged record must leave no errors in the queue of OpenSSL */

    ERR_set_mark();

    if (trl_ece_decrypt(ece, record, len - TRL_ECE_TAG) == -1) {
        ERR_pop_to_mark();
        OPENSSL_cleanse(record, len);
        return -1;
    }

    ERR_clear_last_mark();

    return trl_ece_unpad(ece, record, len);
}


ssize_t
trl_ece_seal(trl_ece_t *ece, uint8_t *record, size_t len, int last)
{
    int     n;
    size_t  size;

    if (ece->last || len > ece->size - TRL_ECE_OVERHEAD) {
        return -1;
    }

    size = last ? len + 1 : ece->size - TRL_ECE_TAG;

    record[len] = last ? TRL_ECE_LAST : TRL_ECE_MORE;
    memset(record + len + 1, 0, size - len - 1);

    if (trl_ece_begin(ece) == -1
        || EVP_CipherUpdate(ece->cipher.ctx, record, &n, record, (int) size)
           != 1
        || EVP_CipherFinal_ex(ece->cipher.ctx, record + size, &n) != 1
        || EVP_CIPHER_CTX_ctrl(ece->cipher.ctx, EVP_CTRL_AEAD_GET_TAG,
                               TRL_ECE_TAG, record + size)
           != 1)
    {
        return -1;
    }

    ece->last = (last != 0);

    return (ssize_t) (size + TRL_ECE_TAG);
}


/*
 * Section 2.3: the nonce, with the number of the record, which counts as used
 * even if an error follows.
 */

static int
trl_ece_begin(trl_ece_t *ece)
{
    int       i;
    uint8_t   nonce[TRL_MAX_IV];
    uint64_t  seq;

    if (ece->key.seq >= TRL_ECE_LIMIT) {
        return -1;
    }

    memcpy(nonce, ece->key.iv, TRL_MAX_IV);

    seq = ece->key.seq++;

    for (i = TRL_MAX_IV - 1; seq; i--) {
        nonce[i] ^= (uint8_t) seq;
        seq >>= 8;
    }

    return trl_cipher_nonce(&ece->cipher, nonce);
}


static int
trl_ece_decrypt(trl_ece_t *ece, uint8_t *p, size_t len)
{
    int  n;

    if (trl_ece_begin(ece) == -1
        || EVP_CIPHER_CTX_ctrl(ece->cipher.ctx, EVP_CTRL_AEAD_SET_TAG,
                               TRL_ECE_TAG, p + len)
           != 1
        || EVP_CipherUpdate(ece->cipher.ctx, p, &n, p, (int) len) != 1
        || EVP_CipherFinal_ex(ece->cipher.ctx, p + len, &n) != 1)
    {
        return -1;
    }

    return 0;
}


/*
 * Section 2: the delimiter is the last octet that is not zero.  Its value must
 * be 2 in the last record and 1 in others, which have the full size.
 */

static ssize_t
trl_ece_unpad(trl_ece_t *ece, const uint8_t *p, size_t len)
{
    size_t  n;

    n = len - TRL_ECE_TAG;

    while (n > 0 && p[n - 1] == 0) {
        n--;
    }

    if (n == 0) {
        return -1;
    }

    if (p[n - 1] == TRL_ECE_LAST) {
        ece->last = 1;

    } else if (p[n - 1] != TRL_ECE_MORE || len != ece->size) {
        return -1;
    }

    return (ssize_t) (n - 1);
}
