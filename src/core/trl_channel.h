
/*
 * The channel: an established TLS session in use.  Takes whole records and
 * gives plaintext, takes plaintext and gives records; KeyUpdate, alerts,
 * closure, renegotiation and the AEAD limits are handled here.
 *
 * Plain C and OpenSSL's public API, no nginx types.  No I/O, no allocation
 * but OpenSSL's cipher contexts.
 */


#ifndef _TRL_CHANNEL_H_INCLUDED_
#define _TRL_CHANNEL_H_INCLUDED_


#include "trl_state.h"


#define TRL_OK                      0
#define TRL_CLOSED                  1       /* the peer's close_notify */
#define TRL_ERROR                   (-1)

/*
 * The most that trl_channel_seal() adds to its plaintext: a KeyUpdate record
 * of our own may go first.
 */

#define TRL_CHANNEL_OVERHEAD        (2 * TRL_RECORD_OVERHEAD + 5)

/* What an alert record takes, and so does trl_channel_answer(). */

#define TRL_CHANNEL_SHORT_RECORD    (TRL_RECORD_OVERHEAD + 5)

/* The longest record that a header may announce. */

#define TRL_MAX_RECORD              (TRL_HEADER_SIZE + TRL_MAX_PLAINTEXT      \
                                     + 2048)

/* A ClientHello, RFC 8446, section 4, and the longest one that OpenSSL takes */

#define TRL_CLIENT_HELLO            1
#define TRL_MAX_CLIENT_HELLO        131396

/* alerts, RFC 8446, section 6 */

#define TRL_CLOSE_NOTIFY            0
#define TRL_UNEXPECTED_MESSAGE      10
#define TRL_BAD_RECORD_MAC          20
#define TRL_RECORD_OVERFLOW         22
#define TRL_ILLEGAL_PARAMETER       47
#define TRL_DECODE_ERROR            50
#define TRL_PROTOCOL_VERSION        70
#define TRL_INTERNAL_ERROR          80
#define TRL_NO_RENEGOTIATION        100


typedef struct {
    trl_state_t        *state;              /* the caller's, always current */
    trl_cipher_t        read;
    trl_cipher_t        write;
    uint8_t             alert;              /* after TRL_ERROR: to be sent */
    uint8_t             peer_alert;         /* the fatal alert received, if
                                               any: nothing is to be sent */
    const char         *error;              /* after TRL_ERROR: static text;
                                               nothing is opened any more */
} trl_channel_t;


/*
 * Begins to use a state, which must stay in place until trl_channel_done()
 * and afterwards has everything to go on with.  Refuses another layout
 * version.  Returns TRL_OK or TRL_ERROR; trl_channel_done() is needed only
 * after TRL_OK and harmless after TRL_ERROR.
 */

int trl_channel_init(trl_channel_t *ch, trl_state_t *state);
void trl_channel_done(trl_channel_t *ch);

/*
 * Checks a record's header (TRL_HEADER_SIZE bytes).  Returns the length of
 * the whole record, header included, or TRL_ERROR.
 */

ssize_t trl_channel_header(trl_channel_t *ch, const uint8_t *header);

/*
 * Opens a whole record in place.  TRL_OK: *n bytes of application data at
 * *data, inside the record; *n is 0 for all that is not application data,
 * which has then been dealt with.  TRL_CLOSED: close_notify, nothing more is
 * to be read.  TRL_ERROR: ch->error, ch->alert and ch->peer_alert say what.
 */

int trl_channel_open(trl_channel_t *ch, uint8_t *record, size_t len,
    uint8_t **data, size_t *n);

/* The largest plaintext that one trl_channel_seal() takes. */

size_t trl_channel_max(const trl_channel_t *ch);

/*
 * Seals application data, at most trl_channel_max() bytes gathered from iov,
 * into out, which has room for it and TRL_CHANNEL_OVERHEAD.  An answer that
 * is owed, or a KeyUpdate of our own before the AEAD limit, goes first.
 * Returns the length written, or -1, after which the session must end: at
 * TLS 1.2's AEAD limit with the alert ch->alert (close_notify), for which room
 * is kept; after an error in OpenSSL with nothing more, trl_channel_alert()
 * then returns 0.
 */

ssize_t trl_channel_seal(trl_channel_t *ch, const struct iovec *iov,
    size_t niov, uint8_t *out);

/*
 * Writes the answer that is owed to a KeyUpdate or, in TLS 1.2, to a
 * ClientHello, which is the warning no_renegotiation, to out
 * (TRL_CHANNEL_SHORT_RECORD bytes of room).  Returns its length, 0 if none is
 * owed, -1 on error.
 */

ssize_t trl_channel_answer(trl_channel_t *ch, uint8_t *out);

/*
 * Writes an alert record (TRL_CHANNEL_SHORT_RECORD bytes of room): warning
 * level for close_notify, else fatal.  Nothing can be sealed afterwards.
 * Returns its length, 0 if the channel's write side is closed already, -1 on
 * error.
 */

ssize_t trl_channel_alert(trl_channel_t *ch, unsigned alert, uint8_t *out);


#endif /* _TRL_CHANNEL_H_INCLUDED_ */
