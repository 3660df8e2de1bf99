
/*
 * An established session in use, see trl_channel.h.
 */


#include <string.h>

#include "trl_channel.h"


/* The maximum number in a row, without application data, for a channel. */

#define TRL_MAX_MESSAGES            32
#define TRL_MAX_EMPTY_RECORDS       32

#define TRL_TLS13_EXPANSION         256     /* RFC 8446, section 5.2 */
#define TRL_TLS12_EXPANSION         2048    /* RFC 5246, section 6.2.3 */

/* KeyUpdate, RFC 8446, section 4.6.3 */

#define TRL_KEY_UPDATE              24
#define TRL_UPDATE_NOT_REQUESTED    0
#define TRL_UPDATE_REQUESTED        1

#define TRL_MESSAGE_HEADER          4       /* RFC 5246, section 7.4 */

/* an alert */

#define TRL_USER_CANCELED           90


static int trl_channel_check_header(const trl_state_t *state,
    const uint8_t *header, ssize_t *size, trl_error_e *reason);
static int trl_channel_check_size(trl_channel_t *ch, size_t len, size_t n);
static int trl_channel_data(trl_channel_t *ch, size_t n);
static int trl_channel_empty(trl_channel_t *ch);
static int trl_channel_read_alert(trl_channel_t *ch, const uint8_t *p,
    size_t n);
static int trl_channel_key_update(trl_channel_t *ch, const uint8_t *p,
    size_t n);
static int trl_channel_update_read(trl_channel_t *ch, unsigned request);
static int trl_channel_client_hello(trl_channel_t *ch, const uint8_t *p,
    size_t n);
static int trl_channel_message(trl_channel_t *ch);
static ssize_t trl_channel_answer_write(trl_channel_t *ch, uint8_t *out);
static ssize_t trl_channel_update_write(trl_channel_t *ch, uint8_t *out);
static ssize_t trl_channel_alert_write(trl_channel_t *ch, unsigned alert,
    uint8_t *out);
static int trl_channel_last(const trl_channel_t *ch);
static int trl_channel_error(trl_channel_t *ch, unsigned alert,
    trl_error_e reason);
static ssize_t trl_channel_broken(trl_channel_t *ch);


/* In the order of trl_error_e. */

static const char  *trl_errors[TRL_ERRORS] = {
    "unexpected record type",
    "invalid record version",
    "record too long",
    "bad record MAC",
    "plaintext too long",
    "unexpected inner content type",
    "record inside a handshake message",
    "too many records without data",
    "empty alert",
    "malformed alert",
    "unknown alert level",
    "empty handshake record",
    "unexpected handshake message",
    "too many messages without data",
    "malformed KeyUpdate",
    "data after KeyUpdate",
    "ClientHello too long",
    "record of another epoch",
    "repeated record",
    "incomplete record",
    "cannot update the read key",
    "fatal alert received",
    "key usage limit reached",
    "unknown session state version",
    "cannot create the ciphers",
    "cannot seal a record"
};


const char *
trl_error_text(trl_error_e reason)
{
    return trl_errors[reason];
}


int
trl_channel_init(trl_channel_t *ch, trl_state_t *state)
{
    memset(ch, 0, sizeof(trl_channel_t));

    ch->state = state;

    if (state->version != TRL_STATE_VERSION) {
        return trl_channel_error(ch, TRL_INTERNAL_ERROR, TRL_E_STATE);
    }

    if (trl_cipher_init(&ch->read, state->protocol, state->aead,
                        &state->read, 0)
        == -1
        || trl_cipher_init(&ch->write, state->protocol, state->aead,
                           &state->write, 1)
           == -1)
    {
        trl_channel_done(ch);

        return trl_channel_error(ch, TRL_INTERNAL_ERROR, TRL_E_CIPHERS);
    }

    return TRL_OK;
}


void
trl_channel_done(trl_channel_t *ch)
{
    trl_cipher_done(&ch->read);
    trl_cipher_done(&ch->write);
}


ssize_t
trl_channel_header(trl_channel_t *ch, const uint8_t *header)
{
    int          alert;
    ssize_t      size;
    trl_error_e  reason;

    alert = trl_channel_check_header(ch->state, header, &size, &reason);

    return (alert == 0) ? size
                        : trl_channel_error(ch, (unsigned) alert, reason);
}


ssize_t
trl_channel_fits(const trl_state_t *state, const uint8_t *header)
{
    ssize_t      size;
    trl_error_e  reason;

    return trl_channel_check_header(state, header, &size, &reason) == 0
           ? size : TRL_ERROR;
}


/* Returns 0 with the size of the record, or an alert with a reason. */

static int
trl_channel_check_header(const trl_state_t *state, const uint8_t *header,
    ssize_t *size, trl_error_e *reason)
{
    size_t  len, max;

    len = ((size_t) header[3] << 8) | header[4];

    if (state->protocol == TRL_TLSv1_3) {

        /* RFC 8446, section 5: all records must be protected now */

        if (header[0] != TRL_APPLICATION_DATA) {
            *reason = TRL_E_TYPE;
            return TRL_UNEXPECTED_MESSAGE;
        }

        /* section 5.1: the version is ignored, except its major number */

        if (header[1] != TRL_TLSv1_2 >> 8) {
            *reason = TRL_E_VERSION;
            return TRL_PROTOCOL_VERSION;
        }

        max = TRL_MAX_PLAINTEXT + TRL_TLS13_EXPANSION;

    } else {

        if (header[0] < TRL_ALERT || header[0] > TRL_APPLICATION_DATA) {
            *reason = TRL_E_TYPE;
            return TRL_UNEXPECTED_MESSAGE;
        }

        if (header[1] != TRL_TLSv1_2 >> 8
            || header[2] != (TRL_TLSv1_2 & 0xff))
        {
            *reason = TRL_E_VERSION;
            return TRL_PROTOCOL_VERSION;
        }

        max = TRL_MAX_PLAINTEXT + TRL_TLS12_EXPANSION;
    }

    if (len > max) {
        *reason = TRL_E_LONG_RECORD;
        return TRL_RECORD_OVERFLOW;
    }

    *size = (ssize_t) (TRL_HEADER_SIZE + len);

    return 0;
}


int
trl_channel_open(trl_channel_t *ch, uint8_t *record, size_t len,
    uint8_t **data, size_t *n)
{
    ssize_t    size;
    uint8_t   *plain;
    unsigned   type;

    *data = record;
    *n = 0;

    if (ch->error != NULL) {
        return TRL_ERROR;
    }

    /* RFC 8446, section 6.1: data after close_notify are ignored */

    if (ch->state->read_closed) {
        return TRL_CLOSED;
    }

    if (len < TRL_HEADER_SIZE) {
        return trl_channel_error(ch, TRL_DECODE_ERROR, TRL_E_INCOMPLETE);
    }

    size = trl_channel_header(ch, record);

    if (size == TRL_ERROR) {
        return TRL_ERROR;
    }

    if ((size_t) size != len) {
        return trl_channel_error(ch, TRL_DECODE_ERROR, TRL_E_INCOMPLETE);
    }

    size = trl_record_open(&ch->read, record, len, &type, &plain);

    if (size == -1) {
        return trl_channel_error(ch, TRL_BAD_RECORD_MAC, TRL_E_BAD_MAC);
    }

    if (trl_channel_check_size(ch, len, (size_t) size) == TRL_ERROR) {
        return TRL_ERROR;
    }

    /* RFC 8446, section 5.1: message fragments must not be interleaved */

    if (ch->state->message_len && type != TRL_HANDSHAKE) {
        return trl_channel_error(ch, TRL_UNEXPECTED_MESSAGE, TRL_E_INTERLEAVED);
    }

    switch (type) {

    case TRL_APPLICATION_DATA:
        *data = plain;
        *n = (size_t) size;
        return trl_channel_data(ch, *n);

    case TRL_ALERT:
        return trl_channel_read_alert(ch, plain, (size_t) size);

    case TRL_HANDSHAKE:

        /* RFC 8446, section 5.1; RFC 5246, section 6.2.1 */

        if (size == 0) {
            return trl_channel_error(ch, TRL_UNEXPECTED_MESSAGE,
                                     TRL_E_EMPTY_HANDSHAKE);
        }

        if (ch->state->protocol == TRL_TLSv1_3) {
            return trl_channel_key_update(ch, plain, (size_t) size);
        }

        return trl_channel_client_hello(ch, plain, (size_t) size);

    default:
        /* the type is 0 if there is only padding */
        return trl_channel_error(ch, TRL_UNEXPECTED_MESSAGE, TRL_E_INNER_TYPE);
    }
}


/*
 * Any record that is authentic is counted, even if an error follows; with the
 * first record of another key, there is no error.  Otherwise, the number of
 * attempts is limited, as in DTLS: RFC 9147, section 4.5.3.
 */

int
trl_channel_try(trl_channel_t *ch, uint8_t *record, size_t len,
    uint8_t **data, size_t *n)
{
    int       rc;
    uint64_t  seq;

    seq = ch->state->read.seq;

    rc = trl_channel_open(ch, record, len, data, n);

    if (rc != TRL_ERROR || ch->state->read.seq != seq) {
        return rc;
    }

    if (ch->reason == TRL_E_BAD_MAC
        && ++ch->state->read.forged >= trl_aead_forgeries(ch->state->aead))
    {
        return TRL_ERROR;
    }

    ch->error = NULL;
    ch->alert = 0;

    /* the context is in the middle of a record */

    trl_cipher_rekey(&ch->read);

    return TRL_FOREIGN;
}


/* len: the size of the record; n: the size of its content. */

static int
trl_channel_check_size(trl_channel_t *ch, size_t len, size_t n)
{
    size_t  overhead;

    /* RFC 8446, section 5.4: the limit includes the type and the padding */

    overhead = TRL_HEADER_SIZE + trl_aead_tag_size(ch->state->aead);

    if (ch->state->protocol == TRL_TLSv1_3
        && len - overhead > TRL_MAX_PLAINTEXT + 1)
    {
        return trl_channel_error(ch, TRL_RECORD_OVERFLOW, TRL_E_LONG_PLAINTEXT);
    }

    if (n > trl_channel_max(ch)) {
        return trl_channel_error(ch, TRL_RECORD_OVERFLOW, TRL_E_LONG_PLAINTEXT);
    }

    return TRL_OK;
}


static int
trl_channel_data(trl_channel_t *ch, size_t n)
{
    if (n == 0) {
        return trl_channel_empty(ch);
    }

    ch->empty_records = 0;
    ch->messages = 0;

    return TRL_OK;
}


/*
 * Records without data cost CPU time, so their number is limited.  A client may
 * poll with them, one at a time.
 */

static int
trl_channel_empty(trl_channel_t *ch)
{
    if (ch->empty_records >= TRL_MAX_EMPTY_RECORDS) {
        return trl_channel_error(ch, TRL_UNEXPECTED_MESSAGE,
                                 TRL_E_EMPTY_RECORDS);
    }

    ch->empty_records++;

    return TRL_OK;
}


static int
trl_channel_read_alert(trl_channel_t *ch, const uint8_t *p, size_t n)
{
    /* RFC 8446, section 5.4 */

    if (n == 0) {
        return trl_channel_error(ch, TRL_UNEXPECTED_MESSAGE, TRL_E_EMPTY_ALERT);
    }

    /* section 5.1: alerts are not fragmented or coalesced, as in OpenSSL */

    if (n != 2) {
        return trl_channel_error(ch, TRL_DECODE_ERROR, TRL_E_BAD_ALERT);
    }

    if (p[1] == TRL_CLOSE_NOTIFY) {
        ch->state->read_closed = 1;
        return TRL_CLOSED;
    }

    if (ch->state->protocol == TRL_TLSv1_3) {

        /* section 6: the level is ignored; 6.1: close_notify will follow */

        if (p[1] == TRL_USER_CANCELED) {
            return trl_channel_empty(ch);
        }

    } else if (p[0] == TRL_WARNING) {
        return trl_channel_empty(ch);

    } else if (p[0] != TRL_FATAL) {
        return trl_channel_error(ch, TRL_ILLEGAL_PARAMETER, TRL_E_ALERT_LEVEL);
    }

    /* section 6.2: the connection is closed without a response */

    ch->peer_alert = p[1];
    ch->state->write_closed = 1;

    return trl_channel_error(ch, 0, TRL_E_ALERT);
}


static int
trl_channel_key_update(trl_channel_t *ch, const uint8_t *p, size_t n)
{
    trl_state_t  *state;

    /* type, length, request_update */

    static const uint8_t  expected[] = { TRL_KEY_UPDATE, 0, 0, 1 };

    state = ch->state;

    for ( /* void */ ; n > 0; n--, p++) {

        if (state->message_len == sizeof(expected)) {

            /* RFC 8446, section 5.1: the key changes at a record boundary */

            if (n != 1) {
                return trl_channel_error(ch, TRL_UNEXPECTED_MESSAGE,
                                         TRL_E_AFTER_UPDATE);
            }

            return trl_channel_update_read(ch, *p);
        }

        if (*p != expected[state->message_len]) {

            if (state->message_len == 0) {
                return trl_channel_error(ch, TRL_UNEXPECTED_MESSAGE,
                                         TRL_E_MESSAGE);
            }

            return trl_channel_error(ch, TRL_DECODE_ERROR, TRL_E_KEY_UPDATE);
        }

        state->message_len++;
    }

    return TRL_OK;
}


static int
trl_channel_update_read(trl_channel_t *ch, unsigned request)
{
    trl_state_t  *state;

    state = ch->state;

    state->message_len = 0;

    if (request != TRL_UPDATE_NOT_REQUESTED
        && request != TRL_UPDATE_REQUESTED)
    {
        return trl_channel_error(ch, TRL_ILLEGAL_PARAMETER, TRL_E_KEY_UPDATE);
    }

    if (trl_channel_message(ch) == TRL_ERROR) {
        return TRL_ERROR;
    }

    if (trl_state_update_read(state) == -1) {
        return trl_channel_error(ch, TRL_INTERNAL_ERROR, TRL_E_READ_KEY);
    }

    trl_cipher_rekey(&ch->read);

    ch->updates_in++;

    if (request == TRL_UPDATE_REQUESTED) {
        state->answer_owed = 1;
    }

    return TRL_OK;
}


/*
 * TLS 1.2: renegotiation is refused with a no_renegotiation warning, and the
 * session continues (RFC 5246, section 7.2.2).  The contents of the
 * ClientHello are ignored.  A single warning answers several of them.
 */

static int
trl_channel_client_hello(trl_channel_t *ch, const uint8_t *p, size_t n)
{
    uint32_t     *rest;
    trl_state_t  *state;

    state = ch->state;
    rest = &state->u.tls12.message_rest;

    for ( ;; ) {

        if (state->message_len == TRL_MESSAGE_HEADER) {

            if (n < *rest) {
                *rest -= (uint32_t) n;
                return TRL_OK;
            }

            p += *rest;
            n -= *rest;

            state->message_len = 0;
            state->answer_owed = 1;

            if (trl_channel_message(ch) == TRL_ERROR) {
                return TRL_ERROR;
            }
        }

        if (n == 0) {
            return TRL_OK;
        }

        if (state->message_len == 0) {

            if (*p != TRL_CLIENT_HELLO) {
                return trl_channel_error(ch, TRL_UNEXPECTED_MESSAGE,
                                         TRL_E_MESSAGE);
            }

            *rest = 0;

        } else {
            *rest = (*rest << 8) | *p;
        }

        p++;
        n--;

        if (++state->message_len == TRL_MESSAGE_HEADER
            && *rest > TRL_MAX_CLIENT_HELLO)
        {
            return trl_channel_error(ch, TRL_ILLEGAL_PARAMETER,
                                     TRL_E_LONG_HELLO);
        }
    }
}


static int
trl_channel_message(trl_channel_t *ch)
{
    if (ch->messages >= TRL_MAX_MESSAGES) {
        return trl_channel_error(ch, TRL_UNEXPECTED_MESSAGE, TRL_E_MESSAGES);
    }

    ch->messages++;

    return TRL_OK;
}


size_t
trl_channel_max(const trl_channel_t *ch)
{
    return ch->state->max_fragment;
}


ssize_t
trl_channel_seal(trl_channel_t *ch, const struct iovec *iov, size_t niov,
    uint8_t *out)
{
    size_t    i, len;
    ssize_t   n, answer;

    if (ch->state->write_closed) {
        return -1;
    }

    len = 0;

    for (i = 0; i < niov; i++) {
        if (iov[i].iov_len > trl_channel_max(ch) - len) {
            return trl_channel_broken(ch);
        }

        len += iov[i].iov_len;
    }

    answer = 0;

    if (trl_channel_last(ch)) {

        if (ch->state->protocol != TRL_TLSv1_3) {
            return trl_channel_error(ch, TRL_CLOSE_NOTIFY, TRL_E_KEY_LIMIT);
        }

        ch->state->answer_owed = 1;
    }

    if (ch->state->answer_owed) {
        answer = trl_channel_answer_write(ch, out);
        if (answer == -1) {
            return -1;
        }
    }

    n = trl_record_seal(&ch->write, TRL_APPLICATION_DATA, iov, niov,
                        out + answer);
    if (n == -1) {
        return trl_channel_broken(ch);
    }

    return answer + n;
}


ssize_t
trl_channel_answer(trl_channel_t *ch, uint8_t *out)
{
    if (!ch->state->answer_owed || ch->state->write_closed) {
        return 0;
    }

    /* the last record of the key is reserved for close_notify */

    if (ch->state->protocol != TRL_TLSv1_3 && trl_channel_last(ch)) {
        return 0;
    }

    return trl_channel_answer_write(ch, out);
}


static ssize_t
trl_channel_answer_write(trl_channel_t *ch, uint8_t *out)
{
    ssize_t  n;

    if (ch->state->protocol == TRL_TLSv1_3) {
        return trl_channel_update_write(ch, out);
    }

    n = trl_channel_alert_write(ch, TRL_NO_RENEGOTIATION, out);

    ch->state->answer_owed = 0;

    return n;
}


static ssize_t
trl_channel_update_write(trl_channel_t *ch, uint8_t *out)
{
    ssize_t       n;
    uint8_t       message[5];
    struct iovec  iov;

    message[0] = TRL_KEY_UPDATE;
    message[1] = 0;
    message[2] = 0;
    message[3] = 1;
    message[4] = TRL_UPDATE_NOT_REQUESTED;

    iov.iov_base = message;
    iov.iov_len = sizeof(message);

    n = trl_record_seal(&ch->write, TRL_HANDSHAKE, &iov, 1, out);
    if (n == -1) {
        return trl_channel_broken(ch);
    }

    ch->state->answer_owed = 0;

    if (trl_state_update_write(ch->state) == -1) {
        return trl_channel_broken(ch);
    }

    trl_cipher_rekey(&ch->write);

    ch->updates_out++;

    return n;
}


ssize_t
trl_channel_alert(trl_channel_t *ch, unsigned alert, uint8_t *out)
{
    ssize_t  n;

    if (ch->state->write_closed) {
        return 0;
    }

    n = trl_channel_alert_write(ch, alert, out);

    ch->state->write_closed = 1;

    return n;
}


static ssize_t
trl_channel_alert_write(trl_channel_t *ch, unsigned alert, uint8_t *out)
{
    ssize_t       n;
    uint8_t       message[2];
    struct iovec  iov;

    message[0] = TRL_FATAL;
    message[1] = (uint8_t) alert;

    if (alert == TRL_CLOSE_NOTIFY || alert == TRL_NO_RENEGOTIATION) {
        message[0] = TRL_WARNING;
    }

    iov.iov_base = message;
    iov.iov_len = sizeof(message);

    n = trl_record_seal(&ch->write, TRL_ALERT, &iov, 1, out);
    if (n == -1) {
        return trl_channel_broken(ch);
    }

    return n;
}


/*
 * Whether the key can seal one more record only, RFC 8446, section 5.5.  This
 * record is reserved for the KeyUpdate or, in TLS 1.2, for the final alert.
 */

static int
trl_channel_last(const trl_channel_t *ch)
{
    uint64_t  seq;

    seq = ch->state->write.seq;

    if (trl_is_datagram(ch->state->protocol)) {
        seq = trl_epoch_number(seq);
    }

    if (ch->state->protocol != TRL_TLSv1_3) {
        seq += ch->state->answer_owed;
    }

    return seq >= trl_state_limit(ch->state) - 1;
}


static int
trl_channel_error(trl_channel_t *ch, unsigned alert, trl_error_e reason)
{
    ch->alert = (uint8_t) alert;
    ch->reason = reason;
    ch->error = trl_errors[reason];

    return TRL_ERROR;
}


/* The number of sealed records is unknown: the write key must not be used. */

static ssize_t
trl_channel_broken(trl_channel_t *ch)
{
    ch->state->write_closed = 1;

    return trl_channel_error(ch, TRL_INTERNAL_ERROR, TRL_E_SEAL);
}
