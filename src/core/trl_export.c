
/*
 * Exported keying material, see trl_export.h.
 */


#include <string.h>

#include <openssl/crypto.h>

#include "trl_derive.h"
#include "trl_export.h"


static int trl_export_tls13(const trl_state_t *state,
    const trl_label_t *label, const trl_seed_t *context, uint8_t *out,
    size_t out_len);
static int trl_export_tls12(const trl_state_t *state,
    const trl_label_t *label, const trl_seed_t *context, uint8_t *out,
    size_t out_len);


int
trl_export(const trl_state_t *state, const char *label, size_t label_len,
    const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len)
{
    trl_seed_t   seed;
    trl_label_t  l;

    if (trl_label_reserved(label, label_len)) {
        return -1;
    }

    l.data = label;
    l.len = label_len;
    seed.data = context;
    seed.len = (context != NULL) ? context_len : 0;

    if (state->protocol == TRL_TLSv1_3) {
        return trl_export_tls13(state, &l, &seed, out, out_len);
    }

    return trl_export_tls12(state, &l, &seed, out, out_len);
}


void
trl_export_copy(trl_state_t *to, const trl_state_t *from)
{
    memset(to, 0, sizeof(trl_state_t));

    to->version = from->version;
    to->protocol = from->protocol;
    to->suite = from->suite;
    to->group = from->group;
    to->aead = from->aead;
    to->sha384 = from->sha384;
    to->extended_master = from->extended_master;

    if (from->protocol == TRL_TLSv1_3) {
        memcpy(to->u.tls13.exporter_secret, from->u.tls13.exporter_secret,
               TRL_MAX_SECRET);

    } else {
        memcpy(to->u.tls12.master_secret, from->u.tls12.master_secret,
               TRL_MASTER_SECRET);
        memcpy(to->u.tls12.client_random, from->u.tls12.client_random,
               TRL_RANDOM);
        memcpy(to->u.tls12.server_random, from->u.tls12.server_random,
               TRL_RANDOM);
    }
}


/* RFC 5705, section 4, and RFC 7627: labels used by TLS */

int
trl_label_reserved(const char *label, size_t len)
{
    size_t  i, n;

    static const char  *reserved[] = {
        "client finished", "server finished", "master secret",
        "extended master secret", "key expansion"
    };

    for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        n = strlen(reserved[i]);

        if (len >= n && memcmp(label, reserved[i], n) == 0) {
            return 1;
        }
    }

    return 0;
}


/* RFC 8446, section 7.5 */

static int
trl_export_tls13(const trl_state_t *state, const trl_label_t *label,
    const trl_seed_t *context, uint8_t *out, size_t out_len)
{
    int         rc;
    uint8_t     secret[TRL_MAX_SECRET], digest[TRL_MAX_HASH];
    unsigned    hash;
    trl_seed_t  seed;

    static const trl_label_t  exporter = trl_label("exporter");

    rc = -1;

    hash = trl_state_hash(state);
    seed.data = digest;
    seed.len = trl_hash_size(hash);

    if (trl_hash(hash, (const uint8_t *) "", 0, digest) == -1) {
        goto failed;
    }

    if (trl_hkdf_expand_label(state, state->u.tls13.exporter_secret, label,
                              &seed, secret, seed.len)
        == -1)
    {
        goto failed;
    }

    if (context->len
        && trl_hash(hash, context->data, context->len, digest) == -1)
    {
        goto failed;
    }

    rc = trl_hkdf_expand_label(state, secret, &exporter, &seed, out, out_len);

failed:

    OPENSSL_cleanse(secret, sizeof(secret));

    return rc;
}


/* RFC 5705, section 4 */

static int
trl_export_tls12(const trl_state_t *state, const trl_label_t *label,
    const trl_seed_t *context, uint8_t *out, size_t out_len)
{
    size_t      n;
    uint8_t     len[2];
    trl_seed_t  seeds[TRL_MAX_SEEDS];

    if (context->len > 0xffff) {
        return -1;
    }

    n = 3;
    seeds[0].data = (const uint8_t *) label->data;
    seeds[0].len = label->len;
    seeds[1].data = state->u.tls12.client_random;
    seeds[1].len = TRL_RANDOM;
    seeds[2].data = state->u.tls12.server_random;
    seeds[2].len = TRL_RANDOM;

    if (context->data != NULL) {
        len[0] = (uint8_t) (context->len >> 8);
        len[1] = (uint8_t) context->len;

        n = 5;
        seeds[3].data = len;
        seeds[3].len = 2;
        seeds[4] = *context;
    }

    return trl_tls12_prf(state, seeds, n, out, out_len);
}
