
/*
 * The channel: an established TLS session in use.  Takes whole records and
 * gives plaintext, takes plaintext and gives records; KeyUpdate, alerts,
 * closure, renegotiation and the AEAD limits are handled here.
 *
 * Plain C and OpenSSL's public API, no nginx types.  No I/O, no allocation
 * but OpenSSL's cipher contexts.
 */


#ifndef _ATLS_CHANNEL_H_INCLUDED_
#define _ATLS_CHANNEL_H_INCLUDED_


#include "atls_state.h"


#define ATLS_OK                     0
#define ATLS_CLOSED                 1       /* the peer's close_notify */
#define ATLS_ERROR                  (-1)

/*
 * The most that atls_channel_seal() adds to its plaintext: a KeyUpdate record
 * of our own may go first.
 */

#define ATLS_CHANNEL_OVERHEAD       (2 * ATLS_RECORD_OVERHEAD + 5)

/* What an alert record takes, and so does atls_channel_answer(). */

#define ATLS_CHANNEL_SHORT_RECORD   (ATLS_RECORD_OVERHEAD + 5)

/* The longest record that a header may announce. */

#define ATLS_MAX_RECORD             (ATLS_HEADER_SIZE + ATLS_MAX_PLAINTEXT    \
                                     + 2048)

/* A ClientHello, RFC 8446, section 4, and the longest one that OpenSSL takes */

#define ATLS_CLIENT_HELLO           1
#define ATLS_MAX_CLIENT_HELLO       131396

/* alerts, RFC 8446, section 6 */

#define ATLS_CLOSE_NOTIFY           0
#define ATLS_UNEXPECTED_MESSAGE     10
#define ATLS_BAD_RECORD_MAC         20
#define ATLS_RECORD_OVERFLOW        22
#define ATLS_ILLEGAL_PARAMETER      47
#define ATLS_DECODE_ERROR           50
#define ATLS_PROTOCOL_VERSION       70
#define ATLS_INTERNAL_ERROR         80
#define ATLS_NO_RENEGOTIATION       100


typedef struct {
    atls_state_t       *state;              /* the caller's, always current */
    atls_cipher_t       read;
    atls_cipher_t       write;
    uint8_t             alert;              /* after ATLS_ERROR: to be sent */
    uint8_t             peer_alert;         /* the fatal alert received, if
                                               any: nothing is to be sent */
    const char         *error;              /* after ATLS_ERROR: static text;
                                               nothing is opened any more */
} atls_channel_t;


/*
 * Begins to use a state, which must stay in place until atls_channel_done()
 * and afterwards has everything to go on with.  Refuses another layout
 * version.  Returns ATLS_OK or ATLS_ERROR; atls_channel_done() is needed only
 * after ATLS_OK and harmless after ATLS_ERROR.
 */

int atls_channel_init(atls_channel_t *ch, atls_state_t *state);
void atls_channel_done(atls_channel_t *ch);

/*
 * Checks a record's header (ATLS_HEADER_SIZE bytes).  Returns the length of
 * the whole record, header included, or ATLS_ERROR.
 */

ssize_t atls_channel_header(atls_channel_t *ch, const uint8_t *header);

/*
 * Opens a whole record in place.  ATLS_OK: *n bytes of application data at
 * *data, inside the record; *n is 0 for all that is not application data,
 * which has then been dealt with.  ATLS_CLOSED: close_notify, nothing more is
 * to be read.  ATLS_ERROR: ch->error, ch->alert and ch->peer_alert say what.
 */

int atls_channel_open(atls_channel_t *ch, uint8_t *record, size_t len,
    uint8_t **data, size_t *n);

/* The largest plaintext that one atls_channel_seal() takes. */

size_t atls_channel_max(const atls_channel_t *ch);

/*
 * Seals application data, at most atls_channel_max() bytes gathered from iov,
 * into out, which has room for it and ATLS_CHANNEL_OVERHEAD.  An answer that
 * is owed, or a KeyUpdate of our own before the AEAD limit, goes first.
 * Returns the length written, or -1, after which the session must end: at
 * TLS 1.2's AEAD limit with the alert ch->alert (close_notify), for which room
 * is kept; after an error in OpenSSL with nothing more, atls_channel_alert()
 * then returns 0.
 */

ssize_t atls_channel_seal(atls_channel_t *ch, const struct iovec *iov,
    size_t niov, uint8_t *out);

/*
 * Writes the answer that is owed to a KeyUpdate or, in TLS 1.2, to a
 * ClientHello, which is the warning no_renegotiation, to out
 * (ATLS_CHANNEL_SHORT_RECORD bytes of room).  Returns its length, 0 if none is
 * owed, -1 on error.
 */

ssize_t atls_channel_answer(atls_channel_t *ch, uint8_t *out);

/*
 * Writes an alert record (ATLS_CHANNEL_SHORT_RECORD bytes of room): warning
 * level for close_notify, else fatal.  Nothing can be sealed afterwards.
 * Returns its length, 0 if the channel's write side is closed already, -1 on
 * error.
 */

ssize_t atls_channel_alert(atls_channel_t *ch, unsigned alert, uint8_t *out);


#endif /* _ATLS_CHANNEL_H_INCLUDED_ */
