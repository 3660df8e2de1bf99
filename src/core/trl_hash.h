
/*
 * SHA-256 and SHA-384, and HMAC with them.
 *
 * Plain C and OpenSSL's public API, no nginx types.
 */


#ifndef _TRL_HASH_H_INCLUDED_
#define _TRL_HASH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#define TRL_MAX_HASH                48


typedef enum {
    TRL_SHA256 = 0,
    TRL_SHA384
} trl_hash_e;


typedef struct {
    const uint8_t      *data;
    size_t              len;
} trl_seed_t;


size_t trl_hash_size(unsigned hash);

/* Both write trl_hash_size() bytes.  Return 0 or -1. */

int trl_hash(unsigned hash, const uint8_t *data, size_t len, uint8_t *out);
int trl_hmac(unsigned hash, const trl_seed_t *key, const trl_seed_t *data,
    size_t n, uint8_t *out);

/*
 * Contexts are cached for reuse, with their last keys, as those of ciphers are,
 * see trl_cipher.h.  trl_hash_trim() wipes and frees them and must be called
 * periodically; trl_hash_cleanup(), on exit of the process, also frees
 * algorithms fetched from OpenSSL.
 */

void trl_hash_trim(void);
void trl_hash_cleanup(void);


#endif /* _TRL_HASH_H_INCLUDED_ */
