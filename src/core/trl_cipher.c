
/*
 * AEADs and their contexts, see trl_cipher.h.
 */


#include <string.h>

#include "trl_cipher.h"


#define TRL_SPARE_CTXS   16     /* cached per AEAD and direction */


typedef struct {
    const char         *name;
    uint8_t             key_size;
    uint8_t             tag_size;
    uint8_t             salt_size;          /* implicit nonce, in TLS 1.2 */
    uint8_t             ccm;
    uint64_t            limit;
    uint32_t            forgeries;
} trl_aead_t;


typedef struct {
    unsigned            n;
    EVP_CIPHER_CTX     *ctx[TRL_SPARE_CTXS];
} trl_spares_t;


static const trl_aead_t *trl_aead(unsigned aead);
static EVP_CIPHER *trl_aead_fetch(unsigned aead);
static EVP_CIPHER_CTX *trl_cipher_ctx(unsigned aead, int sealing);


/* indexed by trl_aead_e */

static const trl_aead_t   trl_aeads[] = {
    { NULL,                 0,  0,  0, 0, 0, 0 },
    { "AES-128-GCM",       16, 16,  4, 0, (uint64_t) 1 << 23, UINT32_MAX },
    { "AES-256-GCM",       32, 16,  4, 0, (uint64_t) 1 << 23, UINT32_MAX },
    { "ChaCha20-Poly1305", 32, 16, 12, 0, UINT64_MAX, UINT32_MAX },
    { "AES-128-CCM",       16, 16,  4, 1, (uint64_t) 1 << 23, 1 << 23 },
    { "AES-256-CCM",       32, 16,  4, 1, (uint64_t) 1 << 23, 1 << 23 },
    { "AES-128-CCM",       16,  8,  4, 1, (uint64_t) 1 << 23, 1 << 7 },
    { "AES-256-CCM",       32,  8,  4, 1, (uint64_t) 1 << 23, 1 << 7 }
};


#define TRL_NAEADS   (sizeof(trl_aeads) / sizeof(trl_aeads[0]))


/* Fetched on first use, freed by trl_cipher_cleanup(). */

static EVP_CIPHER     *trl_ciphers[TRL_NAEADS];

/* The second index is 1 for sealing. */

static trl_spares_t    trl_spares[TRL_NAEADS][2];


size_t
trl_aead_key_size(unsigned aead)
{
    return trl_aead(aead)->key_size;
}


size_t
trl_aead_iv_size(unsigned aead, unsigned protocol)
{
    if (trl_aead(aead)->name == NULL) {
        return 0;
    }

    if (protocol == TRL_TLSv1_3) {
        return TRL_MAX_IV;
    }

    return trl_aead(aead)->salt_size;
}


size_t
trl_aead_tag_size(unsigned aead)
{
    return trl_aead(aead)->tag_size;
}


int
trl_aead_ccm(unsigned aead)
{
    return trl_aead(aead)->ccm;
}


uint64_t
trl_aead_limit(unsigned aead)
{
#ifdef TRL_AEAD_LIMIT
    return (trl_aead(aead)->name != NULL) ? TRL_AEAD_LIMIT : 0;
#else
    return trl_aead(aead)->limit;
#endif
}


uint32_t
trl_aead_forgeries(unsigned aead)
{
    return trl_aead(aead)->forgeries;
}


static const trl_aead_t *
trl_aead(unsigned aead)
{
    return &trl_aeads[(aead < TRL_NAEADS) ? aead : 0];
}


static EVP_CIPHER *
trl_aead_fetch(unsigned aead)
{
    /*
     * Fetched once per process: the implicit fetch of EVP_aes_128_gcm() and
     * the like takes longer than the protection of a short record.
     */

    if (trl_ciphers[aead] == NULL) {
        trl_ciphers[aead] = EVP_CIPHER_fetch(NULL, trl_aead(aead)->name,
                                             NULL);
    }

    return trl_ciphers[aead];
}


int
trl_cipher_init(trl_cipher_t *c, unsigned protocol, unsigned aead,
    trl_key_t *key, int sealing)
{
    trl_spares_t  *spares;

    memset(c, 0, sizeof(trl_cipher_t));

    if ((protocol != TRL_TLSv1_2 && protocol != TRL_TLSv1_3
         && protocol != TRL_DTLSv1_2)
        || trl_aead(aead)->name == NULL)
    {
        return -1;
    }

    c->key = key;
    c->protocol = (uint16_t) protocol;
    c->aead = (uint8_t) aead;
    c->sealing = (sealing != 0);

    spares = &trl_spares[aead][c->sealing];

    if (spares->n) {
        c->ctx = spares->ctx[--spares->n];

    } else {
        c->ctx = trl_cipher_ctx(aead, c->sealing);
    }

    return (c->ctx != NULL) ? 0 : -1;
}


static EVP_CIPHER_CTX *
trl_cipher_ctx(unsigned aead, int sealing)
{
    EVP_CIPHER        *cipher;
    EVP_CIPHER_CTX    *ctx;
    const trl_aead_t  *a;

    a = trl_aead(aead);

    cipher = trl_aead_fetch(aead);
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

    /* other AEADs have nonces of this length by default */

    if (a->ccm
        && (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, TRL_MAX_IV,
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
trl_cipher_done(trl_cipher_t *c)
{
    trl_spares_t  *spares;

    if (c->ctx != NULL) {
        spares = &trl_spares[c->aead][c->sealing];

        if (spares->n < TRL_SPARE_CTXS) {
            spares->ctx[spares->n++] = c->ctx;

        } else {
            EVP_CIPHER_CTX_free(c->ctx);
        }
    }

    memset(c, 0, sizeof(trl_cipher_t));
}


void
trl_cipher_rekey(trl_cipher_t *c)
{
    c->keyed = 0;
}


int
trl_cipher_nonce(trl_cipher_t *c, const uint8_t *nonce)
{
    const uint8_t  *key;

    /* the key is set here, as a single call for both is faster */

    key = c->keyed ? NULL : c->key->key;

    if (EVP_CipherInit_ex2(c->ctx, NULL, key, nonce, c->sealing, NULL) != 1) {
        return -1;
    }

    c->keyed = 1;

    return 0;
}


void
trl_cipher_trim(void)
{
    unsigned       i, n;
    trl_spares_t  *spares;

    for (i = 0; i < TRL_NAEADS; i++) {
        for (n = 0; n < 2; n++) {
            spares = &trl_spares[i][n];

            while (spares->n) {
                EVP_CIPHER_CTX_free(spares->ctx[--spares->n]);
            }
        }
    }
}


void
trl_cipher_cleanup(void)
{
    unsigned  i;

    trl_cipher_trim();

    for (i = 0; i < TRL_NAEADS; i++) {
        EVP_CIPHER_free(trl_ciphers[i]);
        trl_ciphers[i] = NULL;
    }
}
