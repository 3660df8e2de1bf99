
/*
 * Record protection: one TLS record sealed or opened with an AEAD.
 *
 * Plain C and OpenSSL's public API, no nginx types.  Nothing here knows about
 * messages, alerts or sessions: see trl_channel.h for those.
 *
 * TLS 1.3: RFC 8446, section 5; TLS 1.2: RFC 5246, section 6.2.3.3.
 */


#ifndef _TRL_RECORD_H_INCLUDED_
#define _TRL_RECORD_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "trl_cipher.h"


/* record types, RFC 8446, section 5.1 */

#define TRL_CHANGE_CIPHER_SPEC      20
#define TRL_ALERT                   21
#define TRL_HANDSHAKE               22
#define TRL_APPLICATION_DATA        23

#define TRL_HEADER_SIZE             5
#define TRL_MAX_PLAINTEXT           16384

/*
 * The most that protection adds to a plaintext: header, explicit nonce
 * (TLS 1.2) or content type (TLS 1.3), tag.
 */

#define TRL_RECORD_OVERHEAD         (TRL_HEADER_SIZE + 8 + 16)


/*
 * Seals the plaintext gathered from iov into one whole record of the type at
 * out, which has room for its length and TRL_RECORD_OVERHEAD; out and the
 * plaintext do not overlap.  The plaintext is at most TRL_MAX_PLAINTEXT.
 * Returns the record's length, or -1 with the reason, if it is one of
 * OpenSSL's, in its queue; the sequence number may be spent nevertheless.
 * Refuses (-1) when seq would wrap.
 */

ssize_t trl_record_seal(trl_cipher_t *c, unsigned type,
    const struct iovec *iov, size_t niov, uint8_t *out);

/*
 * Opens the whole record (header included) in place.  On success returns the
 * plaintext's length and sets *plain into the record and *type, which for
 * TLS 1.3 is the inner type (padding removed), 0 if there was none.
 * Returns -1 when the record is not authentic or too short to be; the error
 * queue is then left as it was, and nothing of the record may be used.
 */

ssize_t trl_record_open(trl_cipher_t *c, uint8_t *record, size_t len,
    unsigned *type, uint8_t **plain);


#endif /* _TRL_RECORD_H_INCLUDED_ */
