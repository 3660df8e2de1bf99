
/*
 * Record protection: encrypts or decrypts a TLS or DTLS record with an AEAD.
 * For messages, alerts and sessions, see trl_channel.h and trl_datagram.h.
 *
 * Plain C and OpenSSL's public API, no nginx types.
 *
 * TLS 1.3: RFC 8446, section 5; TLS 1.2: RFC 5246, section 6.2.3.3; DTLS 1.2:
 * RFC 6347, section 4.1.
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
#define TRL_DATAGRAM_HEADER         13      /* RFC 6347, section 4.1 */
#define TRL_MAX_PLAINTEXT           16384

/*
 * The maximum overhead of a record: header, explicit nonce (TLS 1.2) or content
 * type (TLS 1.3), tag.
 */

#define TRL_RECORD_OVERHEAD         (TRL_DATAGRAM_HEADER + 8 + 16)


/* Whether a protocol is a version of DTLS. */

#define trl_is_datagram(protocol)   ((protocol) == TRL_DTLSv1_2)

/*
 * DTLS: the epoch of a number, and the number in it.  Without renegotiation,
 * application data have the epoch 1.
 */

#define TRL_DATA_EPOCH              1

#define trl_epoch(seq)              ((seq) >> 48)
#define trl_epoch_number(seq)       ((seq) & 0xffffffffffff)


/*
 * Encrypts plaintext gathered from iov, at most TRL_MAX_PLAINTEXT bytes, to a
 * record of the type at out, which must have room for it and
 * TRL_RECORD_OVERHEAD, and must not overlap the plaintext.  Returns the length
 * of the record, or -1, with the reason in OpenSSL's error queue if OpenSSL
 * failed; the sequence number may have been used then.  Returns -1 if seq would
 * wrap, or in DTLS if it is not below c->end.
 */

ssize_t trl_record_seal(trl_cipher_t *c, unsigned type,
    const struct iovec *iov, size_t niov, uint8_t *out);

/*
 * Decrypts a whole record, including the header, in place.  Returns the length
 * of the plaintext, and sets *plain to it, inside the record, and *type, which
 * is the inner type in TLS 1.3 (padding removed), or 0 if there is none.
 * Returns -1 if the record is too short or not authentic; the error queue is
 * unchanged then, and the record must not be used.  In DTLS, the number of the
 * record is that of its header, and seq is set from it.
 */

ssize_t trl_record_open(trl_cipher_t *c, uint8_t *record, size_t len,
    unsigned *type, uint8_t **plain);


#endif /* _TRL_RECORD_H_INCLUDED_ */
