
/*
 * Key derivation: for TLS, with the hash of the state's cipher suite, RFC 8446,
 * section 7.1, and RFC 5246, section 5; and HKDF.
 */


#ifndef _TRL_DERIVE_H_INCLUDED_
#define _TRL_DERIVE_H_INCLUDED_


#include "trl_state.h"


#define TRL_MAX_LABEL               249     /* of exported keying material */


typedef struct {
    const char         *data;
    size_t              len;
} trl_label_t;

#define trl_label(s)   { s, sizeof(s) - 1 }


typedef struct {
    const uint8_t      *data;
    size_t              len;
} trl_seed_t;


size_t trl_hash_size(const trl_state_t *state);
const char *trl_hash_name(const trl_state_t *state);

/* TLS 1.3; the context may be NULL.  Returns 0 or -1. */

int trl_hkdf_expand_label(const trl_state_t *state,
    const uint8_t *secret, const trl_label_t *label,
    const trl_seed_t *context, uint8_t *out, size_t out_len);

/* TLS 1.2; the label is the first of the seeds.  Returns 0 or -1. */

int trl_tls12_prf(const trl_state_t *state, const trl_seed_t *seeds,
    size_t nseeds, uint8_t *out, size_t out_len);

/* HKDF with SHA-256, RFC 5869, section 2.  Returns 0 or -1. */

int trl_hkdf(const trl_seed_t *salt, const trl_seed_t *secret,
    const trl_label_t *info, uint8_t *out, size_t out_len);

/* Frees algorithms fetched from OpenSSL, on exit of the process. */

void trl_derive_cleanup(void);


#endif /* _TRL_DERIVE_H_INCLUDED_ */
