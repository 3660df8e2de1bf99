
/*
 * The channel: an established TLS session in use.  Converts whole records to
 * plaintext and plaintext to records; handles KeyUpdate, alerts, closure,
 * renegotiation and the AEAD limits.  DTLS records are opened by the functions
 * of trl_datagram.h.
 *
 * Plain C and OpenSSL's public API, no nginx types.  No I/O, no allocations
 * except OpenSSL's cipher contexts.
 */


#ifndef _TRL_CHANNEL_H_INCLUDED_
#define _TRL_CHANNEL_H_INCLUDED_


#include "trl_state.h"


#define TRL_OK                      0
#define TRL_CLOSED                  1       /* the peer's close_notify */
#define TRL_FOREIGN                 2       /* not the next record */
#define TRL_ERROR                   (-1)

/*
 * The maximum overhead of trl_channel_seal(), with a preceding KeyUpdate
 * record.
 */

#define TRL_CHANNEL_OVERHEAD        (2 * TRL_RECORD_OVERHEAD + 5)

/* The size of an alert record, and of a record by trl_channel_answer(). */

#define TRL_CHANNEL_SHORT_RECORD    (TRL_RECORD_OVERHEAD + 5)

/* The maximum size of a record, as allowed in its header. */

#define TRL_MAX_RECORD              (TRL_HEADER_SIZE + TRL_MAX_PLAINTEXT      \
                                     + 2048)

/* ClientHello, RFC 8446, section 4, and its maximum size in OpenSSL */

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

/* their levels in TLS 1.2 */

#define TRL_WARNING                 1
#define TRL_FATAL                   2


/* Why a record is refused, or cannot be sealed. */

typedef enum {
    TRL_E_TYPE = 0,
    TRL_E_VERSION,
    TRL_E_LONG_RECORD,
    TRL_E_BAD_MAC,
    TRL_E_LONG_PLAINTEXT,
    TRL_E_INNER_TYPE,
    TRL_E_INTERLEAVED,
    TRL_E_EMPTY_RECORDS,
    TRL_E_EMPTY_ALERT,
    TRL_E_BAD_ALERT,
    TRL_E_ALERT_LEVEL,
    TRL_E_EMPTY_HANDSHAKE,
    TRL_E_MESSAGE,
    TRL_E_MESSAGES,
    TRL_E_KEY_UPDATE,
    TRL_E_AFTER_UPDATE,
    TRL_E_LONG_HELLO,
    TRL_E_EPOCH,
    TRL_E_REPEATED,

    TRL_REFUSALS,                           /* the following ones are not */

    TRL_E_INCOMPLETE = TRL_REFUSALS,
    TRL_E_READ_KEY,
    TRL_E_ALERT,
    TRL_E_KEY_LIMIT,
    TRL_E_STATE,
    TRL_E_CIPHERS,
    TRL_E_SEAL,

    TRL_ERRORS
} trl_error_e;


typedef struct {
    trl_state_t        *state;              /* always current */
    trl_cipher_t        read;
    trl_cipher_t        write;
    uint8_t             alert;              /* after TRL_ERROR: to be sent */
    uint8_t             peer_alert;         /* fatal alert received, or 0: no
                                               alert must be sent then */
    const char         *error;              /* after TRL_ERROR: static text; no
                                               more records can be opened */
    trl_error_e         reason;             /* the same as a number */
    unsigned            messages;           /* in a row, without data */
    unsigned            empty_records;      /* in a row */
    unsigned            updates_in;         /* KeyUpdates received */
    unsigned            updates_out;        /* KeyUpdates sent */
} trl_channel_t;


/* The static text, such as "bad record MAC". */

const char *trl_error_text(trl_error_e reason);


/*
 * Initializes a channel with a state, which must not be moved until
 * trl_channel_done() and is complete afterwards.  A state with a different
 * version is rejected.  Returns TRL_OK or TRL_ERROR; trl_channel_done() is only
 * required after TRL_OK.
 */

int trl_channel_init(trl_channel_t *ch, trl_state_t *state);
void trl_channel_done(trl_channel_t *ch);

/*
 * Checks a record's header (TRL_HEADER_SIZE bytes).  Returns the length of
 * the whole record, header included, or TRL_ERROR.
 */

ssize_t trl_channel_header(trl_channel_t *ch, const uint8_t *header);

/* The same without a channel: whether a session can have such a record. */

ssize_t trl_channel_fits(const trl_state_t *state, const uint8_t *header);

/*
 * Decrypts a whole record in place.  TRL_OK: *n bytes of application data at
 * *data, inside the record; for other records, which are processed here, *n is
 * 0.  TRL_CLOSED: close_notify, there is no more data.  TRL_ERROR: see
 * ch->error, ch->alert and ch->peer_alert.
 */

int trl_channel_open(trl_channel_t *ch, uint8_t *record, size_t len,
    uint8_t **data, size_t *n);

/*
 * The same for a record that may be from somebody else.  TRL_FOREIGN: it is not
 * authentic as the next one.  The channel and its state are unchanged then,
 * except for the text and the number of the reason, and the number of such
 * records; the record must not be used, but its last bytes, the tag, are
 * unchanged, too.  If there are too many of them, it is an error.
 */

int trl_channel_try(trl_channel_t *ch, uint8_t *record, size_t len,
    uint8_t **data, size_t *n);

/* The maximum plaintext size for trl_channel_seal(). */

size_t trl_channel_max(const trl_channel_t *ch);

/*
 * Encrypts application data, at most trl_channel_max() bytes gathered from iov,
 * to out, which must have room for it and TRL_CHANNEL_OVERHEAD.  A pending
 * answer, or a KeyUpdate before the AEAD limit, is written first.  Returns the
 * length written, or -1, after which the session must be closed: at the AEAD
 * limit of TLS 1.2 with the alert ch->alert (close_notify), for which one
 * record is reserved; after an OpenSSL error without an alert,
 * trl_channel_alert() returns 0.
 */

ssize_t trl_channel_seal(trl_channel_t *ch, const struct iovec *iov,
    size_t niov, uint8_t *out);

/*
 * Writes a pending answer to out (at least TRL_CHANNEL_SHORT_RECORD bytes): to
 * a KeyUpdate or, in TLS 1.2, the no_renegotiation warning to a ClientHello.
 * Returns its length, 0 if there is none, or -1 on error.
 */

ssize_t trl_channel_answer(trl_channel_t *ch, uint8_t *out);

/*
 * Writes an alert record to out (at least TRL_CHANNEL_SHORT_RECORD bytes): a
 * warning for close_notify, otherwise fatal.  No data can be sealed afterwards.
 * Returns its length, 0 if the write side is already closed, or -1 on error.
 */

ssize_t trl_channel_alert(trl_channel_t *ch, unsigned alert, uint8_t *out);


#endif /* _TRL_CHANNEL_H_INCLUDED_ */
