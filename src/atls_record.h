
/*
 * Record protection: one TLS record sealed or opened with an AEAD.
 *
 * Plain C and OpenSSL's public API, no nginx types.  Nothing here knows about
 * messages, alerts or sessions: see atls_channel.h for those.
 *
 * TLS 1.3: RFC 8446, section 5; TLS 1.2: RFC 5246, section 6.2.3.3, with
 * AES-GCM (RFC 5288), AES-CCM and CCM-8 (RFC 6655), ChaCha20-Poly1305
 * (RFC 7905).
 */


#ifndef _ATLS_RECORD_H_INCLUDED_
#define _ATLS_RECORD_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <openssl/evp.h>


#define ATLS_TLSv1_2                0x0303
#define ATLS_TLSv1_3                0x0304

/* record types, RFC 8446, section 5.1 */

#define ATLS_CHANGE_CIPHER_SPEC     20
#define ATLS_ALERT                  21
#define ATLS_HANDSHAKE              22
#define ATLS_APPLICATION_DATA       23

#define ATLS_HEADER_SIZE            5
#define ATLS_MAX_PLAINTEXT          16384

/*
 * The most that protection adds to a plaintext: header, explicit nonce
 * (TLS 1.2) or content type (TLS 1.3), tag.
 */

#define ATLS_RECORD_OVERHEAD        (ATLS_HEADER_SIZE + 8 + 16)

#define ATLS_MAX_KEY                32
#define ATLS_MAX_IV                 12


typedef enum {
    ATLS_AES_128_GCM = 1,
    ATLS_AES_256_GCM,
    ATLS_CHACHA20_POLY1305,
    ATLS_AES_128_CCM,
    ATLS_AES_256_CCM,
    ATLS_AES_128_CCM_8,
    ATLS_AES_256_CCM_8
} atls_aead_e;


/* One direction's traffic key; lives inside atls_state_t in shared memory. */

typedef struct {
    uint64_t            seq;                   /* of the next record */
    uint8_t             key[ATLS_MAX_KEY];
    uint8_t             iv[ATLS_MAX_IV];       /* TLS 1.2 GCM, CCM: 4 used */
} atls_key_t;


/*
 * One direction's cipher in this process, made from an atls_key_t and useless
 * without it: the sequence number stays there.
 */

typedef struct {
    EVP_CIPHER_CTX     *ctx;
    atls_key_t         *key;                   /* the caller's, seq advances */
    uint16_t            protocol;              /* ATLS_TLSv1_* */
    uint8_t             aead;                  /* atls_aead_e */
    uint8_t             sealing;
} atls_cipher_t;


/* Sizes of an AEAD, in bytes; 0 for a number that is none. */

size_t atls_aead_key_size(unsigned aead);
size_t atls_aead_iv_size(unsigned aead, unsigned protocol);
size_t atls_aead_tag_size(unsigned aead);

/*
 * The AEAD's limit on records under one key, RFC 8446, section 5.5: 2^23 for
 * AES-GCM as a round number below 2^24.5; RFC 9147, section 4.5.3 for AES-CCM;
 * none for ChaCha20-Poly1305.  ATLS_AEAD_LIMIT, when defined, replaces all
 * (test builds).
 */

uint64_t atls_aead_limit(unsigned aead);

/*
 * Keys a cipher.  Returns 0, or -1 with the reason in OpenSSL's error queue.
 * atls_cipher_done() wipes and frees what init has made and may be called
 * for a zeroed structure.  atls_cipher_rekey() follows a change of key->key.
 */

int atls_cipher_init(atls_cipher_t *c, unsigned protocol, unsigned aead,
    atls_key_t *key, int sealing);
int atls_cipher_rekey(atls_cipher_t *c);
void atls_cipher_done(atls_cipher_t *c);

/*
 * Seals the plaintext gathered from iov into one whole record of the type at
 * out, which has room for its length and ATLS_RECORD_OVERHEAD; out and the
 * plaintext do not overlap.  The plaintext is at most ATLS_MAX_PLAINTEXT.
 * Returns the record's length, or -1 with the reason, if it is one of
 * OpenSSL's, in its queue; the sequence number may be spent nevertheless.
 * Refuses (-1) when seq would wrap.
 */

ssize_t atls_record_seal(atls_cipher_t *c, unsigned type,
    const struct iovec *iov, size_t niov, uint8_t *out);

/*
 * Opens the whole record (header included) in place.  On success returns the
 * plaintext's length and sets *plain into the record and *type, which for
 * TLS 1.3 is the inner type (padding removed), 0 if there was none.
 * Returns -1 when the record is not authentic or too short to be; the error
 * queue is then left as it was, and nothing of the record may be used.
 */

ssize_t atls_record_open(atls_cipher_t *c, uint8_t *record, size_t len,
    unsigned *type, uint8_t **plain);

/* Frees what a process has fetched from OpenSSL, at its end. */

void atls_record_cleanup(void);


#endif /* _ATLS_RECORD_H_INCLUDED_ */
