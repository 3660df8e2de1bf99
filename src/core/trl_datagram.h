
/*
 * DTLS records of a channel, RFC 6347: they may be lost, repeated or reordered,
 * and several processes may use a session at once, each with a channel of its
 * own and a copy of the state.  What they share, the window of records opened
 * and the number of the next record sealed, is in the state in shared memory,
 * and is changed by the caller with the lock held.
 *
 * Plain C and OpenSSL's public API, no nginx types.
 */


#ifndef _TRL_DATAGRAM_H_INCLUDED_
#define _TRL_DATAGRAM_H_INCLUDED_


#include "trl_channel.h"


/* Handshake messages, RFC 6347, section 4.2.2 */

#define TRL_FINISHED                20


/* A record that was opened. */

typedef struct {
    uint64_t            number;             /* in the epoch */
    unsigned            type;
    uint8_t            *data;               /* inside the record */
    size_t              len;
} trl_datagram_t;


/*
 * Checks a header (TRL_DATAGRAM_HEADER bytes).  Returns the length of the whole
 * record, or TRL_ERROR: it is none, so the start of the next record is unknown.
 */

ssize_t trl_datagram_size(const uint8_t *header);

/*
 * A flight that is sent again needs new numbers (RFC 6347, section 4.2.4): a
 * peer has no use for a record that it could not process at the first time, but
 * whose number it knows.  This is possible for records of the handshake that
 * are not protected.  Numbers them beginning with "first", and returns how many
 * there are.
 */

uint32_t trl_datagram_number(uint8_t *flight, size_t len, uint32_t first);

/*
 * Decrypts a whole record in place.  TRL_FOREIGN: it is to be discarded, see
 * ch->reason; if this is TRL_E_BAD_MAC, the caller counts it, see
 * trl_aead_forgeries().
 */

int trl_datagram_open(trl_channel_t *ch, uint8_t *record, size_t len,
    trl_datagram_t *d);

/*
 * Processes an opened record, after its number was marked as used.  TRL_OK:
 * d->len bytes of application data; 0 for other records.  TRL_FOREIGN: it is to
 * be discarded, see ch->reason.  TRL_CLOSED: close_notify; TRL_ERROR: a fatal
 * alert, ch->peer_alert.
 */

int trl_datagram_read(trl_channel_t *ch, trl_datagram_t *d);

/*
 * How many numbers the next trl_channel_seal(), trl_channel_answer() or
 * trl_channel_alert() requires.  The caller reserves them, and no others are
 * used.
 */

unsigned trl_datagram_needs(const trl_channel_t *ch);
void trl_datagram_reserve(trl_channel_t *ch, uint64_t first, unsigned n);


#endif /* _TRL_DATAGRAM_H_INCLUDED_ */
