
/*
 * Key derivation, see trl_derive.h.
 */


#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "trl_derive.h"


/* HkdfLabel, RFC 8446, section 7.1: length, "tls13 " label, context */

#define TRL_MAX_HKDF_LABEL          (2 + 1 + 6 + TRL_MAX_LABEL                \
                                     + 1 + TRL_MAX_SECRET)


static int trl_kdf(EVP_KDF **kdf, const char *name, const OSSL_PARAM *params,
    uint8_t *out, size_t out_len);


/* Fetched on first use, freed by trl_derive_cleanup(). */

static EVP_KDF  *trl_hkdf_kdf;
static EVP_KDF  *trl_prf;


size_t
trl_hash_size(const trl_state_t *state)
{
    return state->sha384 ? 48 : 32;
}


const char *
trl_hash_name(const trl_state_t *state)
{
    return state->sha384 ? "SHA384" : "SHA256";
}


/* RFC 8446, section 7.1 */

int
trl_hkdf_expand_label(const trl_state_t *state, const uint8_t *secret,
    const trl_label_t *label, const trl_seed_t *context, uint8_t *out,
    size_t out_len)
{
    int         mode;
    uint8_t    *p, info[TRL_MAX_HKDF_LABEL];
    OSSL_PARAM  params[5];

    if (label->len > TRL_MAX_LABEL || out_len > 0xffff) {
        return -1;
    }

    p = info;
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

    mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;

    params[0] = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                           (char *) trl_hash_name(state), 0);
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
                                    (void *) secret, trl_hash_size(state));
    params[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info,
                                                  (size_t) (p - info));
    params[4] = OSSL_PARAM_construct_end();

    return trl_kdf(&trl_hkdf_kdf, "HKDF", params, out, out_len);
}


/* RFC 5246, section 5 */

int
trl_tls12_prf(const trl_state_t *state, const trl_seed_t *seeds,
    size_t nseeds, uint8_t *out, size_t out_len)
{
    size_t       i;
    OSSL_PARAM  *p, params[3 + 5];

    p = params;

    *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                           (char *) trl_hash_name(state), 0);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET,
                                    (void *) state->u.tls12.master_secret,
                                    TRL_MASTER_SECRET);

    for (i = 0; i < nseeds; i++) {
        if (seeds[i].len) {
            *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED,
                                    (void *) seeds[i].data, seeds[i].len);
        }
    }

    *p = OSSL_PARAM_construct_end();

    return trl_kdf(&trl_prf, "TLS1-PRF", params, out, out_len);
}


int
trl_hkdf(const trl_seed_t *salt, const trl_seed_t *secret,
    const trl_label_t *info, uint8_t *out, size_t out_len)
{
    OSSL_PARAM  params[5];

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                                 (char *) "SHA256", 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
                                          (void *) salt->data, salt->len);
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
                                          (void *) secret->data, secret->len);
    params[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
                                          (void *) info->data, info->len);
    params[4] = OSSL_PARAM_construct_end();

    return trl_kdf(&trl_hkdf_kdf, "HKDF", params, out, out_len);
}


static int
trl_kdf(EVP_KDF **kdf, const char *name, const OSSL_PARAM *params,
    uint8_t *out, size_t out_len)
{
    int           rc;
    EVP_KDF_CTX  *ctx;

    /* fetched once per process */

    if (*kdf == NULL) {
        *kdf = EVP_KDF_fetch(NULL, name, NULL);
        if (*kdf == NULL) {
            return -1;
        }
    }

    ctx = EVP_KDF_CTX_new(*kdf);
    if (ctx == NULL) {
        return -1;
    }

    rc = (EVP_KDF_derive(ctx, out, out_len, params) == 1) ? 0 : -1;

    EVP_KDF_CTX_free(ctx);

    return rc;
}


void
trl_derive_cleanup(void)
{
    EVP_KDF_free(trl_hkdf_kdf);
    EVP_KDF_free(trl_prf);

    trl_hkdf_kdf = NULL;
    trl_prf = NULL;
}
