
/*
 * Encrypted Content-Encoding for HTTP, RFC 8188: the content coding aes128gcm,
 * record by record.
 *
 * Plain C and OpenSSL's public API, no nginx types.  No I/O, no allocations
 * except OpenSSL's cipher contexts.
 */


#ifndef _TRL_ECE_H_INCLUDED_
#define _TRL_ECE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "trl_cipher.h"


#define TRL_ECE_SALT                16
#define TRL_ECE_HEADER              (TRL_ECE_SALT + 4 + 1)  /* without keyid */
#define TRL_ECE_MAX_KEYID           255

/* The delimiter and the tag of a record; a valid record size has one more. */

#define TRL_ECE_OVERHEAD            (1 + 16)
#define TRL_ECE_MIN_SIZE            (TRL_ECE_OVERHEAD + 1)

/*
 * The limit on records of a message, RFC 8446, section 5.5, rounded down: each
 * message has a separate key.  TRL_AEAD_LIMIT, when defined, replaces it (test
 * builds).
 */

#ifdef TRL_AEAD_LIMIT
#define TRL_ECE_LIMIT               TRL_AEAD_LIMIT
#else
#define TRL_ECE_LIMIT               ((uint64_t) 1 << 24)
#endif


/* The header of a message, section 2.1; the pointers are not owned. */

typedef struct {
    const uint8_t      *salt;                  /* TRL_ECE_SALT bytes */
    uint32_t            size;                  /* of records, "rs" */
    const uint8_t      *keyid;
    size_t              keyid_len;
} trl_ece_header_t;


/* A message that is opened or sealed.  It must not be moved. */

typedef struct {
    trl_cipher_t        cipher;
    trl_key_t           key;
    size_t              size;                  /* of records */
    uint8_t             last;                  /* the last record was opened or
                                                  sealed */
} trl_ece_t;


/*
 * Reads the header of a message.  Returns its length, or 0: more than len bytes
 * are required.
 */

size_t trl_ece_header_read(trl_ece_header_t *header, const uint8_t *p,
    size_t len);

/*
 * Writes the header to p, which must have room for TRL_ECE_HEADER bytes and the
 * keyid, of at most TRL_ECE_MAX_KEYID bytes.  Returns its length.
 */

size_t trl_ece_header_write(const trl_ece_header_t *header, uint8_t *p);

/*
 * Initializes a message with the input keying material, the salt and the record
 * size.  Returns 0, or -1: the size is invalid, or OpenSSL failed.
 * trl_ece_done() wipes the key and may be called for a zeroed structure.
 */

int trl_ece_init(trl_ece_t *ece, const uint8_t *ikm, size_t ikm_len,
    const uint8_t *salt, size_t size, int sealing);
void trl_ece_done(trl_ece_t *ece);

/*
 * Decrypts the next record in place.  Only the last one, after which ece->last
 * is set, may be shorter than the record size.  Returns the length of the
 * plaintext, which is at the start of the record, or -1: the record is not
 * authentic or invalid, and must not be used; or one follows the last one.
 */

ssize_t trl_ece_open(trl_ece_t *ece, uint8_t *record, size_t len);

/*
 * Encrypts the next record in place: len bytes of plaintext, at most the record
 * size less TRL_ECE_OVERHEAD.  Except for the last one, it is padded to the
 * record size, for which there must be room.  Returns the length of the record,
 * or -1.
 */

ssize_t trl_ece_seal(trl_ece_t *ece, uint8_t *record, size_t len, int last);


#endif /* _TRL_ECE_H_INCLUDED_ */
