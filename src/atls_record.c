
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


typedef struct {
    const char         *name;
    uint8_t             key_size;
    uint8_t             tag_size;
    uint8_t             salt_size;          /* of the IV in TLS 1.2 */
    uint8_t             ccm;
    uint64_t            limit;
} atls_aead_t;


static const atls_aead_t *atls_aead(unsigned aead);
static EVP_CIPHER *atls_aead_fetch(unsigned aead);
static size_t atls_explicit_nonce(const atls_cipher_t *c);
static size_t atls_inner_type(const atls_cipher_t *c);
static void atls_seq_encode(uint8_t *p, uint64_t seq);
static int atls_record_begin(atls_cipher_t *c, const uint8_t *record,
    size_t len);
static int atls_record_encrypt(atls_cipher_t *c, unsigned type,
    const struct iovec *iov, size_t niov, uint8_t *p);
static int atls_record_encrypt_ccm(atls_cipher_t *c, uint8_t inner,
    const struct iovec *iov, size_t niov, uint8_t *p);
static int atls_record_finish(atls_cipher_t *c, uint8_t *tag);
static int atls_record_decrypt(atls_cipher_t *c, uint8_t *record, uint8_t *p,
    size_t len);


/* indexed by atls_aead_e */

static const atls_aead_t  atls_aeads[] = {
    { NULL,                 0,  0,  0, 0, 0 },
    { "AES-128-GCM",       16, 16,  4, 0, (uint64_t) 1 << 23 },
    { "AES-256-GCM",       32, 16,  4, 0, (uint64_t) 1 << 23 },
    { "ChaCha20-Poly1305", 32, 16, 12, 0, UINT64_MAX },
    { "AES-128-CCM",       16, 16,  4, 1, (uint64_t) 1 << 23 },
    { "AES-256-CCM",       32, 16,  4, 1, (uint64_t) 1 << 23 },
    { "AES-128-CCM",       16,  8,  4, 1, (uint64_t) 1 << 23 },
    { "AES-256-CCM",       32,  8,  4, 1, (uint64_t) 1 << 23 }
};


#define ATLS_NAEADS  (sizeof(atls_aeads) / sizeof(atls_aeads[0]))


size_t
atls_aead_key_size(unsigned aead)
{
    return atls_aead(aead)->key_size;
}


size_t
atls_aead_iv_size(unsigned aead, unsigned protocol)
{
    if (atls_aead(aead)->name == NULL) {
        return 0;
    }

    if (protocol == ATLS_TLSv1_3) {
        return ATLS_MAX_IV;
    }

    return atls_aead(aead)->salt_size;
}


size_t
atls_aead_tag_size(unsigned aead)
{
    return atls_aead(aead)->tag_size;
}


uint64_t
atls_aead_limit(unsigned aead)
{
#ifdef ATLS_AEAD_LIMIT
    return (atls_aead(aead)->name != NULL) ? ATLS_AEAD_LIMIT : 0;
#else
    return atls_aead(aead)->limit;
#endif
}


/* Fetched when first used, until atls_record_cleanup(). */

static EVP_CIPHER  *atls_ciphers[ATLS_NAEADS];


static const atls_aead_t *
atls_aead(unsigned aead)
{
    return &atls_aeads[(aead < ATLS_NAEADS) ? aead : 0];
}


static EVP_CIPHER *
atls_aead_fetch(unsigned aead)
{
    const char  *name;

    /*
     * Fetched once a process: the implicit fetch of EVP_aes_128_gcm() and the
     * like takes longer than to protect a short record.
     */

    name = atls_aead(aead)->name;

    if (name == NULL) {
        return NULL;
    }

    if (atls_ciphers[aead] == NULL) {
        atls_ciphers[aead] = EVP_CIPHER_fetch(NULL, name, NULL);
    }

    return atls_ciphers[aead];
}


void
atls_record_cleanup(void)
{
    unsigned  i;

    for (i = 0; i < ATLS_NAEADS; i++) {
        EVP_CIPHER_free(atls_ciphers[i]);
        atls_ciphers[i] = NULL;
    }
}


int
atls_cipher_init(atls_cipher_t *c, unsigned protocol, unsigned aead,
    atls_key_t *key, int sealing)
{
    EVP_CIPHER         *cipher;
    const atls_aead_t  *a;

    memset(c, 0, sizeof(atls_cipher_t));

    if (protocol != ATLS_TLSv1_2 && protocol != ATLS_TLSv1_3) {
        return -1;
    }

    cipher = atls_aead_fetch(aead);
    if (cipher == NULL) {
        return -1;
    }

    c->key = key;
    c->protocol = (uint16_t) protocol;
    c->aead = (uint8_t) aead;
    c->sealing = (sealing != 0);

    c->ctx = EVP_CIPHER_CTX_new();
    if (c->ctx == NULL) {
        goto failed;
    }

    if (EVP_CipherInit_ex2(c->ctx, cipher, NULL, NULL, c->sealing, NULL) != 1
        || EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_IVLEN, ATLS_MAX_IV,
                               NULL)
           != 1)
    {
        goto failed;
    }

    a = atls_aead(aead);

    /* CCM takes both lengths into its key setup */

    if (a->ccm
        && EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, a->tag_size,
                               NULL)
           != 1)
    {
        goto failed;
    }

    if (atls_cipher_rekey(c) == -1) {
        goto failed;
    }

    return 0;

failed:

    atls_cipher_done(c);

    return -1;
}


int
atls_cipher_rekey(atls_cipher_t *c)
{
    if (EVP_CipherInit_ex2(c->ctx, NULL, c->key->key, NULL, -1, NULL) != 1) {
        return -1;
    }

    return 0;
}


void
atls_cipher_done(atls_cipher_t *c)
{
    /* this wipes the key schedule, too */

    EVP_CIPHER_CTX_free(c->ctx);

    memset(c, 0, sizeof(atls_cipher_t));
}


ssize_t
atls_record_seal(atls_cipher_t *c, unsigned type, const struct iovec *iov,
    size_t niov, uint8_t *out)
{
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

    if (atls_record_encrypt(c, type, iov, niov, p) == -1) {
        return -1;
    }

    return (ssize_t) (ATLS_HEADER_SIZE + len);
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

    if (EVP_CipherInit_ex2(c->ctx, NULL, NULL, nonce, -1, NULL) != 1) {
        return -1;
    }

    /* RFC 3610, section 2.2: the length is in CCM's first block */

    if (atls_aead(c->aead)->ccm
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
atls_record_encrypt(atls_cipher_t *c, unsigned type, const struct iovec *iov,
    size_t niov, uint8_t *p)
{
    int      n;
    size_t   i;
    uint8_t  inner;

    inner = (uint8_t) type;

    if (atls_aead(c->aead)->ccm) {
        return atls_record_encrypt_ccm(c, inner, iov, niov, p);
    }

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
        if (EVP_CipherUpdate(c->ctx, p, &n, &inner, 1) != 1) {
            return -1;
        }

        p += n;
    }

    return atls_record_finish(c, p);
}


/* CCM takes its message at once, so it is gathered first. */

static int
atls_record_encrypt_ccm(atls_cipher_t *c, uint8_t inner,
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
        p[len++] = inner;
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
