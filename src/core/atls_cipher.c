
/*
 * AEADs and their contexts, see atls_cipher.h.
 */


#include <string.h>

#include "atls_cipher.h"


#define ATLS_SPARE_CTXS  16     /* kept of one AEAD and direction */


typedef struct {
    const char         *name;
    uint8_t             key_size;
    uint8_t             tag_size;
    uint8_t             salt_size;          /* of the IV in TLS 1.2 */
    uint8_t             ccm;
    uint64_t            limit;
} atls_aead_t;


typedef struct {
    unsigned            n;
    EVP_CIPHER_CTX     *ctx[ATLS_SPARE_CTXS];
} atls_spares_t;


static const atls_aead_t *atls_aead(unsigned aead);
static EVP_CIPHER *atls_aead_fetch(unsigned aead);
static EVP_CIPHER_CTX *atls_cipher_ctx(unsigned aead, int sealing);


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


/* Fetched when first used, until atls_cipher_cleanup(). */

static EVP_CIPHER     *atls_ciphers[ATLS_NAEADS];

/* [1]: for sealing */

static atls_spares_t   atls_spares[ATLS_NAEADS][2];


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


int
atls_aead_ccm(unsigned aead)
{
    return atls_aead(aead)->ccm;
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


static const atls_aead_t *
atls_aead(unsigned aead)
{
    return &atls_aeads[(aead < ATLS_NAEADS) ? aead : 0];
}


static EVP_CIPHER *
atls_aead_fetch(unsigned aead)
{
    /*
     * Fetched once a process: the implicit fetch of EVP_aes_128_gcm() and the
     * like takes longer than to protect a short record.
     */

    if (atls_ciphers[aead] == NULL) {
        atls_ciphers[aead] = EVP_CIPHER_fetch(NULL, atls_aead(aead)->name,
                                              NULL);
    }

    return atls_ciphers[aead];
}


int
atls_cipher_init(atls_cipher_t *c, unsigned protocol, unsigned aead,
    atls_key_t *key, int sealing)
{
    atls_spares_t  *spares;

    memset(c, 0, sizeof(atls_cipher_t));

    if ((protocol != ATLS_TLSv1_2 && protocol != ATLS_TLSv1_3)
        || atls_aead(aead)->name == NULL)
    {
        return -1;
    }

    c->key = key;
    c->protocol = (uint16_t) protocol;
    c->aead = (uint8_t) aead;
    c->sealing = (sealing != 0);

    spares = &atls_spares[aead][c->sealing];

    if (spares->n) {
        c->ctx = spares->ctx[--spares->n];

    } else {
        c->ctx = atls_cipher_ctx(aead, c->sealing);
    }

    return (c->ctx != NULL) ? 0 : -1;
}


static EVP_CIPHER_CTX *
atls_cipher_ctx(unsigned aead, int sealing)
{
    EVP_CIPHER         *cipher;
    EVP_CIPHER_CTX     *ctx;
    const atls_aead_t  *a;

    a = atls_aead(aead);

    cipher = atls_aead_fetch(aead);
    if (cipher == NULL) {
        return NULL;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NULL;
    }

    if (EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, sealing, NULL) != 1) {
        goto failed;
    }

    /* the nonces of the others are that long by default */

    if (a->ccm
        && (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, ATLS_MAX_IV,
                                NULL)
            != 1
            || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, a->tag_size,
                                   NULL)
               != 1))
    {
        goto failed;
    }

    return ctx;

failed:

    EVP_CIPHER_CTX_free(ctx);

    return NULL;
}


void
atls_cipher_done(atls_cipher_t *c)
{
    atls_spares_t  *spares;

    if (c->ctx != NULL) {
        spares = &atls_spares[c->aead][c->sealing];

        if (spares->n < ATLS_SPARE_CTXS) {
            spares->ctx[spares->n++] = c->ctx;

        } else {
            EVP_CIPHER_CTX_free(c->ctx);
        }
    }

    memset(c, 0, sizeof(atls_cipher_t));
}


void
atls_cipher_rekey(atls_cipher_t *c)
{
    c->keyed = 0;
}


int
atls_cipher_nonce(atls_cipher_t *c, const uint8_t *nonce)
{
    const uint8_t  *key;

    /* not before: in OpenSSL, a call for both takes hardly longer than one */

    key = c->keyed ? NULL : c->key->key;

    if (EVP_CipherInit_ex2(c->ctx, NULL, key, nonce, c->sealing, NULL) != 1) {
        return -1;
    }

    c->keyed = 1;

    return 0;
}


void
atls_cipher_trim(void)
{
    unsigned        i, n;
    atls_spares_t  *spares;

    for (i = 0; i < ATLS_NAEADS; i++) {
        for (n = 0; n < 2; n++) {
            spares = &atls_spares[i][n];

            while (spares->n) {
                EVP_CIPHER_CTX_free(spares->ctx[--spares->n]);
            }
        }
    }
}


void
atls_cipher_cleanup(void)
{
    unsigned  i;

    atls_cipher_trim();

    for (i = 0; i < ATLS_NAEADS; i++) {
        EVP_CIPHER_free(atls_ciphers[i]);
        atls_ciphers[i] = NULL;
    }
}
