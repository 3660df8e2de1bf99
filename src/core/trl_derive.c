
/*
 * Key derivation, see trl_derive.h.
 */


#include <string.h>

#include <openssl/crypto.h>

#include "trl_derive.h"


/* HkdfLabel, RFC 8446, section 7.1: length, "tls13 " label, context */

#define TRL_MAX_HKDF_LABEL          (2 + 1 + 6 + TRL_MAX_LABEL                \
                                     + 1 + TRL_MAX_SECRET)


static void trl_derive_append(uint8_t **out, size_t *len, const uint8_t *block,
    size_t size);


unsigned
trl_state_hash(const trl_state_t *state)
{
    return state->sha384 ? TRL_SHA384 : TRL_SHA256;
}


int
trl_hkdf(const trl_seed_t *salt, const trl_seed_t *secret,
    const trl_label_t *label, uint8_t *out, size_t out_len)
{
    int         rc;
    uint8_t     prk[TRL_MAX_HASH];
    trl_seed_t  key, info;

    key.data = prk;
    key.len = trl_hash_size(TRL_SHA256);
    info.data = (const uint8_t *) label->data;
    info.len = label->len;

    rc = trl_hmac(TRL_SHA256, salt, secret, 1, prk);

    if (rc == 0) {
        rc = trl_hkdf_expand(TRL_SHA256, &key, &info, out, out_len);
    }

    OPENSSL_cleanse(prk, sizeof(prk));

    return rc;
}


int
trl_hkdf_expand(unsigned hash, const trl_seed_t *key, const trl_seed_t *info,
    uint8_t *out, size_t out_len)
{
    int         rc;
    size_t      size;
    uint8_t     i, block[TRL_MAX_HASH];
    trl_seed_t  data[3];

    rc = -1;
    size = trl_hash_size(hash);

    if (out_len > 255 * size) {
        return -1;
    }

    /* T(i) = HMAC(PRK, T(i - 1) | info | i) */

    data[0].data = block;
    data[0].len = 0;
    data[1] = *info;
    data[2].data = &i;
    data[2].len = 1;

    for (i = 1; out_len; i++) {

        if (trl_hmac(hash, key, data, 3, block) == -1) {
            goto failed;
        }

        data[0].len = size;

        trl_derive_append(&out, &out_len, block, size);
    }

    rc = 0;

failed:

    OPENSSL_cleanse(block, sizeof(block));

    return rc;
}


int
trl_hkdf_expand_label(const trl_state_t *state, const uint8_t *secret,
    const trl_label_t *label, const trl_seed_t *context, uint8_t *out,
    size_t out_len)
{
    uint8_t    *p, text[TRL_MAX_HKDF_LABEL];
    unsigned    hash;
    trl_seed_t  key, info;

    if (label->len > TRL_MAX_LABEL || out_len > 0xffff) {
        return -1;
    }

    p = text;
    *p++ = (uint8_t) (out_len >> 8);
    *p++ = (uint8_t) out_len;
    *p++ = (uint8_t) (6 + label->len);
    memcpy(p, "tls13 ", 6);
    p += 6;

    memcpy(p, label->data, label->len);
    p += label->len;

    *p++ = (context != NULL) ? (uint8_t) context->len : 0;

    if (context != NULL) {
        memcpy(p, context->data, context->len);
        p += context->len;
    }

    hash = trl_state_hash(state);

    key.data = secret;
    key.len = trl_hash_size(hash);
    info.data = text;
    info.len = (size_t) (p - text);

    return trl_hkdf_expand(hash, &key, &info, out, out_len);
}


int
trl_tls12_prf(const trl_state_t *state, const trl_seed_t *seeds,
    size_t nseeds, uint8_t *out, size_t out_len)
{
    int                rc;
    size_t             size, nlast;
    uint8_t            a[TRL_MAX_HASH], block[TRL_MAX_HASH];
    unsigned           hash;
    trl_seed_t         key, data[1 + TRL_MAX_SEEDS];
    const trl_seed_t  *last;

    if (nseeds > TRL_MAX_SEEDS) {
        return -1;
    }

    rc = -1;
    hash = trl_state_hash(state);
    size = trl_hash_size(hash);

    key.data = state->u.tls12.master_secret;
    key.len = TRL_MASTER_SECRET;

    data[0].data = a;
    data[0].len = size;
    memcpy(&data[1], seeds, nseeds * sizeof(trl_seed_t));

    /* A(i) = HMAC(secret, A(i - 1)), and A(0) is the seed */

    last = seeds;
    nlast = nseeds;

    while (out_len) {

        if (trl_hmac(hash, &key, last, nlast, a) == -1
            || trl_hmac(hash, &key, data, 1 + nseeds, block) == -1)
        {
            goto failed;
        }

        last = data;
        nlast = 1;

        trl_derive_append(&out, &out_len, block, size);
    }

    rc = 0;

failed:

    OPENSSL_cleanse(a, sizeof(a));
    OPENSSL_cleanse(block, sizeof(block));

    return rc;
}


/* The last block may be longer than the rest. */

static void
trl_derive_append(uint8_t **out, size_t *len, const uint8_t *block,
    size_t size)
{
    size_t  n;

    n = (*len < size) ? *len : size;
    memcpy(*out, block, n);

    *out += n;
    *len -= n;
}
