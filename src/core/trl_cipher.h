
/*
 * AEADs, and keyed ciphers for one direction.
 *
 * Plain C and OpenSSL's public API, no nginx types.  AES-GCM (RFC 5288, RFC
 * 8446), AES-CCM and CCM-8 (RFC 6655), ChaCha20-Poly1305 (RFC 7905).
 */


#ifndef _TRL_CIPHER_H_INCLUDED_
#define _TRL_CIPHER_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>


#define TRL_TLSv1_2                 0x0303
#define TRL_TLSv1_3                 0x0304
#define TRL_DTLSv1_2                0xfefd

#define TRL_MAX_KEY                 32
#define TRL_MAX_IV                  12


typedef enum {
    TRL_AES_128_GCM = 1,
    TRL_AES_256_GCM,
    TRL_CHACHA20_POLY1305,
    TRL_AES_128_CCM,
    TRL_AES_256_CCM,
    TRL_AES_128_CCM_8,
    TRL_AES_256_CCM_8
} trl_aead_e;


/*
 * The traffic key of one direction, a part of trl_state_t in shared memory.  In
 * DTLS, the number contains the epoch: RFC 6347, section 4.1.
 */

typedef struct {
    uint64_t            seq;                   /* of the next record */
    uint8_t             key[TRL_MAX_KEY];
    uint8_t             iv[TRL_MAX_IV];        /* TLS 1.2 GCM, CCM: 4 used */
    uint32_t            forged;                /* records not authentic */
} trl_key_t;


/*
 * The cipher of one direction in this process, for a trl_key_t, which has the
 * sequence number.
 */

typedef struct {
    EVP_CIPHER_CTX     *ctx;
    trl_key_t          *key;                   /* not owned */
    uint64_t            end;                   /* DTLS: records up to this
                                                  number can be sealed */
    uint16_t            protocol;              /* TRL_TLSv1_*, TRL_DTLSv1_2 */
    uint8_t             aead;                  /* trl_aead_e */
    uint8_t             sealing;
    uint8_t             keyed;                 /* ctx has key->key */
} trl_cipher_t;


/* Sizes of an AEAD in bytes; 0 for an unknown AEAD. */

size_t trl_aead_key_size(unsigned aead);
size_t trl_aead_iv_size(unsigned aead, unsigned protocol);
size_t trl_aead_tag_size(unsigned aead);

/* CCM requires all lengths in advance, and the message in one piece. */

int trl_aead_ccm(unsigned aead);

/*
 * The AEAD's limit on records under one key, RFC 8446, section 5.5: 2^23 for
 * AES-GCM as a round number below 2^24.5; RFC 9147, section 4.5.3 for AES-CCM;
 * none for ChaCha20-Poly1305.  TRL_AEAD_LIMIT, when defined, replaces all
 * (test builds).
 */

uint64_t trl_aead_limit(unsigned aead);

/*
 * The limit on records under one key that are not authentic: RFC 9147, section
 * 4.5.3, or less; for CCM-8, with the probability of a forgery given there,
 * 2^-57.
 */

uint32_t trl_aead_forgeries(unsigned aead);

/*
 * Initializes a cipher.  Returns 0, or -1 with the reason in OpenSSL's error
 * queue.  trl_cipher_done() releases it and may be called for a zeroed
 * structure.
 */

int trl_cipher_init(trl_cipher_t *c, unsigned protocol, unsigned aead,
    trl_key_t *key, int sealing);
void trl_cipher_done(trl_cipher_t *c);

/* Must be called after a change of key->key. */

void trl_cipher_rekey(trl_cipher_t *c);

/*
 * Starts a record: sets the nonce, and the key if necessary.  Returns 0 or -1.
 */

int trl_cipher_nonce(trl_cipher_t *c, const uint8_t *nonce);

/*
 * Contexts are cached for reuse, with their last keys: these are keys of
 * sessions that are in the memory of the process anyway.  trl_cipher_trim()
 * wipes and frees unused contexts and must be called periodically;
 * trl_cipher_cleanup(), on exit of the process, also frees algorithms fetched
 * from OpenSSL.
 */

void trl_cipher_trim(void);
void trl_cipher_cleanup(void);


#endif /* _TRL_CIPHER_H_INCLUDED_ */
