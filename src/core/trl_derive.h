
/*
 * Key derivation: HKDF, RFC 5869, and the functions of TLS that use the hash of
 * the state's cipher suite.
 */


#ifndef _TRL_DERIVE_H_INCLUDED_
#define _TRL_DERIVE_H_INCLUDED_


#include "trl_hash.h"
#include "trl_state.h"


#define TRL_MAX_LABEL               249     /* of exported keying material */
#define TRL_MAX_SEEDS               5


typedef struct {
    const char         *data;
    size_t              len;
} trl_label_t;

#define trl_label(s)   { s, sizeof(s) - 1 }


/* trl_hash_e */

unsigned trl_state_hash(const trl_state_t *state);

/* HKDF with SHA-256.  Returns 0 or -1. */

int trl_hkdf(const trl_seed_t *salt, const trl_seed_t *secret,
    const trl_label_t *label, uint8_t *out, size_t out_len);

/* Section 2.3; key is the pseudorandom key.  Returns 0 or -1. */

int trl_hkdf_expand(unsigned hash, const trl_seed_t *key,
    const trl_seed_t *info, uint8_t *out, size_t out_len);

/* RFC 8446, section 7.1; the context may be NULL.  Returns 0 or -1. */

int trl_hkdf_expand_label(const trl_state_t *state,
    const uint8_t *secret, const trl_label_t *label,
    const trl_seed_t *context, uint8_t *out, size_t out_len);

/*
 * RFC 5246, section 5; the label is the first of the seeds, of which there are
 * at most TRL_MAX_SEEDS.  Returns 0 or -1.
 */

int trl_tls12_prf(const trl_state_t *state, const trl_seed_t *seeds,
    size_t nseeds, uint8_t *out, size_t out_len);


#endif /* _TRL_DERIVE_H_INCLUDED_ */
