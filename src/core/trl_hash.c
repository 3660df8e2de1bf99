
/*
 * Hashes and HMAC, see trl_hash.h.
 */


#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "trl_hash.h"


/* The algorithms of a hash, fetched on first use, and contexts. */

typedef struct {
    const char         *name;
    size_t              size;
    EVP_MD             *md;
    EVP_MD_CTX         *digest;
    EVP_MAC_CTX        *hmac;
} trl_hash_t;


static EVP_MAC_CTX *trl_hmac_ctx(trl_hash_t *h);


/*
 * Kept by the process: the fetches by name in EVP_Q_digest() and EVP_KDF take
 * longer than hashing something short.
 */

static EVP_MAC      *trl_hmac_mac;

/* indexed by trl_hash_e */

static trl_hash_t    trl_hashes[] = {
    { "SHA256", 32, NULL, NULL, NULL },
    { "SHA384", 48, NULL, NULL, NULL }
};


#define TRL_NHASHES  (sizeof(trl_hashes) / sizeof(trl_hashes[0]))


size_t
trl_hash_size(unsigned hash)
{
    return trl_hashes[hash].size;
}


int
trl_hash(unsigned hash, const uint8_t *data, size_t len, uint8_t *out)
{
    trl_hash_t  *h;

    h = &trl_hashes[hash];

    if (h->md == NULL) {
        h->md = EVP_MD_fetch(NULL, h->name, NULL);
        if (h->md == NULL) {
            return -1;
        }
    }

    if (h->digest == NULL) {
        h->digest = EVP_MD_CTX_new();
        if (h->digest == NULL) {
            return -1;
        }
    }

    if (EVP_DigestInit_ex2(h->digest, h->md, NULL) != 1
        || EVP_DigestUpdate(h->digest, data, len) != 1
        || EVP_DigestFinal_ex(h->digest, out, NULL) != 1)
    {
        return -1;
    }

    return 0;
}


int
trl_hmac(unsigned hash, const trl_seed_t *key, const trl_seed_t *data,
    size_t n, uint8_t *out)
{
    size_t        i;
    trl_hash_t   *h;
    EVP_MAC_CTX  *ctx;

    h = &trl_hashes[hash];

    ctx = trl_hmac_ctx(h);

    if (ctx == NULL || EVP_MAC_init(ctx, key->data, key->len, NULL) != 1) {
        return -1;
    }

    for (i = 0; i < n; i++) {
        if (EVP_MAC_update(ctx, data[i].data, data[i].len) != 1) {
            return -1;
        }
    }

    return (EVP_MAC_final(ctx, out, NULL, h->size) == 1) ? 0 : -1;
}


/* The digest of the context remains; the key is set by each EVP_MAC_init(). */

static EVP_MAC_CTX *
trl_hmac_ctx(trl_hash_t *h)
{
    OSSL_PARAM  params[2];

    if (h->hmac != NULL) {
        return h->hmac;
    }

    if (trl_hmac_mac == NULL) {
        trl_hmac_mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        if (trl_hmac_mac == NULL) {
            return NULL;
        }
    }

    h->hmac = EVP_MAC_CTX_new(trl_hmac_mac);
    if (h->hmac == NULL) {
        return NULL;
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 (char *) h->name, 0);
    params[1] = OSSL_PARAM_construct_end();

    if (EVP_MAC_CTX_set_params(h->hmac, params) != 1) {
        EVP_MAC_CTX_free(h->hmac);
        h->hmac = NULL;
    }

    return h->hmac;
}


void
trl_hash_trim(void)
{
    size_t  i;

    for (i = 0; i < TRL_NHASHES; i++) {
        EVP_MD_CTX_free(trl_hashes[i].digest);
        EVP_MAC_CTX_free(trl_hashes[i].hmac);

        trl_hashes[i].digest = NULL;
        trl_hashes[i].hmac = NULL;
    }
}


void
trl_hash_cleanup(void)
{
    size_t  i;

    trl_hash_trim();

    for (i = 0; i < TRL_NHASHES; i++) {
        EVP_MD_free(trl_hashes[i].md);
        trl_hashes[i].md = NULL;
    }

    EVP_MAC_free(trl_hmac_mac);
    trl_hmac_mac = NULL;
}
