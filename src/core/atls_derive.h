
/*
 * Key derivation of TLS, with the hash of a state's suite: RFC 8446, section
 * 7.1, and RFC 5246, section 5.
 */


#ifndef _ATLS_DERIVE_H_INCLUDED_
#define _ATLS_DERIVE_H_INCLUDED_


#include "atls_state.h"


#define ATLS_MAX_LABEL              249     /* of exported keying material */


typedef struct {
    const char         *data;
    size_t              len;
} atls_label_t;

#define atls_label(s)  { s, sizeof(s) - 1 }


typedef struct {
    const uint8_t      *data;
    size_t              len;
} atls_seed_t;


size_t atls_hash_size(const atls_state_t *state);
const char *atls_hash_name(const atls_state_t *state);

/* TLS 1.3; the context may be NULL.  Returns 0 or -1. */

int atls_hkdf_expand_label(const atls_state_t *state,
    const uint8_t *secret, const atls_label_t *label,
    const atls_seed_t *context, uint8_t *out, size_t out_len);

/* TLS 1.2; the label is the first of the seeds.  Returns 0 or -1. */

int atls_tls12_prf(const atls_state_t *state, const atls_seed_t *seeds,
    size_t nseeds, uint8_t *out, size_t out_len);

/* Frees what a process has fetched from OpenSSL, at its end. */

void atls_derive_cleanup(void);


#endif /* _ATLS_DERIVE_H_INCLUDED_ */
