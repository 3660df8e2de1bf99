
/*
 * An established session in use, see atls_channel.h.
 */


#include <string.h>

#include "atls_channel.h"


/* How many may follow each other with no application data between. */

#define ATLS_MAX_MESSAGES           32
#define ATLS_MAX_EMPTY_RECORDS      32

#define ATLS_TLS13_EXPANSION        256     /* RFC 8446, section 5.2 */
#define ATLS_TLS12_EXPANSION        2048    /* RFC 5246, section 6.2.3 */

/* KeyUpdate, RFC 8446, section 4.6.3 */

#define ATLS_KEY_UPDATE             24
#define ATLS_UPDATE_NOT_REQUESTED   0
#define ATLS_UPDATE_REQUESTED       1

#define ATLS_MESSAGE_HEADER         4       /* RFC 5246, section 7.4 */

/* of alerts */

#define ATLS_WARNING                1
#define ATLS_FATAL                  2
#define ATLS_USER_CANCELED          90


static int atls_channel_check_size(atls_channel_t *ch, size_t len, size_t n);
static int atls_channel_data(atls_channel_t *ch, size_t n);
static int atls_channel_empty(atls_channel_t *ch);
static int atls_channel_read_alert(atls_channel_t *ch, const uint8_t *p,
    size_t n);
static int atls_channel_key_update(atls_channel_t *ch, const uint8_t *p,
    size_t n);
static int atls_channel_update_read(atls_channel_t *ch, unsigned request);
static int atls_channel_client_hello(atls_channel_t *ch, const uint8_t *p,
    size_t n);
static int atls_channel_message(atls_channel_t *ch);
static ssize_t atls_channel_answer_write(atls_channel_t *ch, uint8_t *out);
static ssize_t atls_channel_update_write(atls_channel_t *ch, uint8_t *out);
static ssize_t atls_channel_alert_write(atls_channel_t *ch, unsigned alert,
    uint8_t *out);
static int atls_channel_last(const atls_channel_t *ch);
static int atls_channel_error(atls_channel_t *ch, unsigned alert,
    const char *error);
static ssize_t atls_channel_broken(atls_channel_t *ch);


int
atls_channel_init(atls_channel_t *ch, atls_state_t *state)
{
    memset(ch, 0, sizeof(atls_channel_t));

    ch->state = state;

    if (state->version != ATLS_STATE_VERSION) {
        return atls_channel_error(ch, ATLS_INTERNAL_ERROR,
                                  "unknown layout of the session state");
    }

    if (atls_cipher_init(&ch->read, state->protocol, state->aead,
                         &state->read, 0)
        == -1
        || atls_cipher_init(&ch->write, state->protocol, state->aead,
                            &state->write, 1)
           == -1)
    {
        atls_channel_done(ch);

        return atls_channel_error(ch, ATLS_INTERNAL_ERROR,
                                  "cannot make the ciphers");
    }

    return ATLS_OK;
}


void
atls_channel_done(atls_channel_t *ch)
{
    atls_cipher_done(&ch->read);
    atls_cipher_done(&ch->write);
}


ssize_t
atls_channel_header(atls_channel_t *ch, const uint8_t *header)
{
    size_t  len, max;

    len = ((size_t) header[3] << 8) | header[4];

    if (ch->state->protocol == ATLS_TLSv1_3) {

        /* RFC 8446, section 5: nothing goes unprotected any more */

        if (header[0] != ATLS_APPLICATION_DATA) {
            return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                      "unexpected type of record");
        }

        /* section 5.1: the version means nothing, if it is one of TLS */

        if (header[1] != ATLS_TLSv1_2 >> 8) {
            return atls_channel_error(ch, ATLS_PROTOCOL_VERSION,
                                      "wrong version of record");
        }

        max = ATLS_MAX_PLAINTEXT + ATLS_TLS13_EXPANSION;

    } else {

        if (header[0] < ATLS_ALERT || header[0] > ATLS_APPLICATION_DATA) {
            return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                      "unexpected type of record");
        }

        if (header[1] != ATLS_TLSv1_2 >> 8
            || header[2] != (ATLS_TLSv1_2 & 0xff))
        {
            return atls_channel_error(ch, ATLS_PROTOCOL_VERSION,
                                      "wrong version of record");
        }

        max = ATLS_MAX_PLAINTEXT + ATLS_TLS12_EXPANSION;
    }

    if (len > max) {
        return atls_channel_error(ch, ATLS_RECORD_OVERFLOW, "record too long");
    }

    return (ssize_t) (ATLS_HEADER_SIZE + len);
}


int
atls_channel_open(atls_channel_t *ch, uint8_t *record, size_t len,
    uint8_t **data, size_t *n)
{
    ssize_t    size;
    uint8_t   *plain;
    unsigned   type;

    *data = record;
    *n = 0;

    if (ch->error != NULL) {
        return ATLS_ERROR;
    }

    /* RFC 8446, section 6.1: what follows close_notify is ignored */

    if (ch->state->read_closed) {
        return ATLS_CLOSED;
    }

    if (len < ATLS_HEADER_SIZE) {
        return atls_channel_error(ch, ATLS_DECODE_ERROR, "incomplete record");
    }

    size = atls_channel_header(ch, record);

    if (size == ATLS_ERROR) {
        return ATLS_ERROR;
    }

    if ((size_t) size != len) {
        return atls_channel_error(ch, ATLS_DECODE_ERROR, "incomplete record");
    }

    size = atls_record_open(&ch->read, record, len, &type, &plain);

    if (size == -1) {
        return atls_channel_error(ch, ATLS_BAD_RECORD_MAC, "bad record MAC");
    }

    if (atls_channel_check_size(ch, len, (size_t) size) == ATLS_ERROR) {
        return ATLS_ERROR;
    }

    /* RFC 8446, section 5.1: nothing comes between a message's pieces */

    if (ch->state->message_len && type != ATLS_HANDSHAKE) {
        return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                  "record inside a handshake message");
    }

    switch (type) {

    case ATLS_APPLICATION_DATA:
        *data = plain;
        *n = (size_t) size;
        return atls_channel_data(ch, *n);

    case ATLS_ALERT:
        return atls_channel_read_alert(ch, plain, (size_t) size);

    case ATLS_HANDSHAKE:

        /* RFC 8446, section 5.1; RFC 5246, section 6.2.1 */

        if (size == 0) {
            return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                      "empty handshake record");
        }

        if (ch->state->protocol == ATLS_TLSv1_3) {
            return atls_channel_key_update(ch, plain, (size_t) size);
        }

        return atls_channel_client_hello(ch, plain, (size_t) size);

    default:
        /* 0 if there was nothing but padding */
        return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                  "unexpected type of record content");
    }
}


/* Of a record of len bytes with n of content. */

static int
atls_channel_check_size(atls_channel_t *ch, size_t len, size_t n)
{
    size_t  overhead;

    /* RFC 8446, section 5.4: the padding counts, as does the type */

    overhead = ATLS_HEADER_SIZE + atls_aead_tag_size(ch->state->aead);

    if (ch->state->protocol == ATLS_TLSv1_3
        && len - overhead > ATLS_MAX_PLAINTEXT + 1)
    {
        return atls_channel_error(ch, ATLS_RECORD_OVERFLOW,
                                  "plaintext too long");
    }

    if (n > atls_channel_max(ch)) {
        return atls_channel_error(ch, ATLS_RECORD_OVERFLOW,
                                  "plaintext too long");
    }

    return ATLS_OK;
}


static int
atls_channel_data(atls_channel_t *ch, size_t n)
{
    if (n == 0) {
        return atls_channel_empty(ch);
    }

    ch->state->empty_records = 0;
    ch->state->messages = 0;

    return ATLS_OK;
}


/* Empty records, and ignored ones, cost us and bring nothing. */

static int
atls_channel_empty(atls_channel_t *ch)
{
    if (ch->state->empty_records >= ATLS_MAX_EMPTY_RECORDS) {
        return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                  "too many records without data");
    }

    ch->state->empty_records++;

    return ATLS_OK;
}


static int
atls_channel_read_alert(atls_channel_t *ch, const uint8_t *p, size_t n)
{
    /* RFC 8446, section 5.4 */

    if (n == 0) {
        return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE, "empty alert");
    }

    /* section 5.1: neither fragmented nor coalesced; OpenSSL wants it so */

    if (n != 2) {
        return atls_channel_error(ch, ATLS_DECODE_ERROR, "malformed alert");
    }

    if (p[1] == ATLS_CLOSE_NOTIFY) {
        ch->state->read_closed = 1;
        return ATLS_CLOSED;
    }

    if (ch->state->protocol == ATLS_TLSv1_3) {

        /* section 6: the level means nothing; 6.1: close_notify follows */

        if (p[1] == ATLS_USER_CANCELED) {
            return atls_channel_empty(ch);
        }

    } else if (p[0] == ATLS_WARNING) {
        return atls_channel_empty(ch);

    } else if (p[0] != ATLS_FATAL) {
        return atls_channel_error(ch, ATLS_ILLEGAL_PARAMETER,
                                  "unknown level of alert");
    }

    /* section 6.2: the connection is over, without an answer */

    ch->peer_alert = p[1];
    ch->state->write_closed = 1;

    return atls_channel_error(ch, 0, "fatal alert received");
}


static int
atls_channel_key_update(atls_channel_t *ch, const uint8_t *p, size_t n)
{
    atls_state_t  *state;

    /* type, length, request_update */

    static const uint8_t  expected[] = { ATLS_KEY_UPDATE, 0, 0, 1 };

    state = ch->state;

    for ( /* void */ ; n > 0; n--, p++) {

        if (state->message_len == sizeof(expected)) {

            /* RFC 8446, section 5.1: new keys begin with a new record */

            if (n != 1) {
                return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                          "data after KeyUpdate");
            }

            return atls_channel_update_read(ch, *p);
        }

        if (*p != expected[state->message_len]) {

            if (state->message_len == 0) {
                return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                          "unexpected handshake message");
            }

            return atls_channel_error(ch, ATLS_DECODE_ERROR,
                                      "malformed KeyUpdate");
        }

        state->message_len++;
    }

    return ATLS_OK;
}


static int
atls_channel_update_read(atls_channel_t *ch, unsigned request)
{
    atls_state_t  *state;

    state = ch->state;

    state->message_len = 0;

    if (request != ATLS_UPDATE_NOT_REQUESTED
        && request != ATLS_UPDATE_REQUESTED)
    {
        return atls_channel_error(ch, ATLS_ILLEGAL_PARAMETER,
                                  "malformed KeyUpdate");
    }

    if (atls_channel_message(ch) == ATLS_ERROR) {
        return ATLS_ERROR;
    }

    if (atls_state_update_read(state) == -1) {
        return atls_channel_error(ch, ATLS_INTERNAL_ERROR,
                                  "cannot update the read key");
    }

    atls_cipher_rekey(&ch->read);

    if (request == ATLS_UPDATE_REQUESTED) {
        state->answer_owed = 1;
    }

    return ATLS_OK;
}


/*
 * TLS 1.2: the client wants to renegotiate, and is told that it can't; the
 * session goes on (RFC 5246, section 7.2.2).  What the ClientHello says does
 * not matter, and one answer does for several of them.
 */

static int
atls_channel_client_hello(atls_channel_t *ch, const uint8_t *p, size_t n)
{
    uint32_t      *rest;
    atls_state_t  *state;

    state = ch->state;
    rest = &state->u.tls12.message_rest;

    for ( ;; ) {

        if (state->message_len == ATLS_MESSAGE_HEADER) {

            if (n < *rest) {
                *rest -= (uint32_t) n;
                return ATLS_OK;
            }

            p += *rest;
            n -= *rest;

            state->message_len = 0;
            state->answer_owed = 1;

            if (atls_channel_message(ch) == ATLS_ERROR) {
                return ATLS_ERROR;
            }
        }

        if (n == 0) {
            return ATLS_OK;
        }

        if (state->message_len == 0) {

            if (*p != ATLS_CLIENT_HELLO) {
                return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                          "unexpected handshake message");
            }

            *rest = 0;

        } else {
            *rest = (*rest << 8) | *p;
        }

        p++;
        n--;

        if (++state->message_len == ATLS_MESSAGE_HEADER
            && *rest > ATLS_MAX_CLIENT_HELLO)
        {
            return atls_channel_error(ch, ATLS_ILLEGAL_PARAMETER,
                                      "ClientHello too long");
        }
    }
}


static int
atls_channel_message(atls_channel_t *ch)
{
    if (ch->state->messages >= ATLS_MAX_MESSAGES) {
        return atls_channel_error(ch, ATLS_UNEXPECTED_MESSAGE,
                                  "too many messages without data");
    }

    ch->state->messages++;

    return ATLS_OK;
}


size_t
atls_channel_max(const atls_channel_t *ch)
{
    return ch->state->max_fragment;
}


ssize_t
atls_channel_seal(atls_channel_t *ch, const struct iovec *iov, size_t niov,
    uint8_t *out)
{
    size_t    i, len;
    ssize_t   n, answer;

    if (ch->state->write_closed) {
        return -1;
    }

    len = 0;

    for (i = 0; i < niov; i++) {
        if (iov[i].iov_len > atls_channel_max(ch) - len) {
            return atls_channel_broken(ch);
        }

        len += iov[i].iov_len;
    }

    answer = 0;

    if (atls_channel_last(ch)) {

        if (ch->state->protocol != ATLS_TLSv1_3) {
            return atls_channel_error(ch, ATLS_CLOSE_NOTIFY, "key used up");
        }

        ch->state->answer_owed = 1;
    }

    if (ch->state->answer_owed) {
        answer = atls_channel_answer_write(ch, out);
        if (answer == -1) {
            return -1;
        }
    }

    n = atls_record_seal(&ch->write, ATLS_APPLICATION_DATA, iov, niov,
                         out + answer);
    if (n == -1) {
        return atls_channel_broken(ch);
    }

    return answer + n;
}


ssize_t
atls_channel_answer(atls_channel_t *ch, uint8_t *out)
{
    if (!ch->state->answer_owed || ch->state->write_closed) {
        return 0;
    }

    /* what the key has left is for data, and for the end */

    if (ch->state->protocol != ATLS_TLSv1_3 && atls_channel_last(ch)) {
        return 0;
    }

    return atls_channel_answer_write(ch, out);
}


static ssize_t
atls_channel_answer_write(atls_channel_t *ch, uint8_t *out)
{
    ssize_t  n;

    if (ch->state->protocol == ATLS_TLSv1_3) {
        return atls_channel_update_write(ch, out);
    }

    n = atls_channel_alert_write(ch, ATLS_NO_RENEGOTIATION, out);

    ch->state->answer_owed = 0;

    return n;
}


static ssize_t
atls_channel_update_write(atls_channel_t *ch, uint8_t *out)
{
    ssize_t       n;
    uint8_t       message[5];
    struct iovec  iov;

    message[0] = ATLS_KEY_UPDATE;
    message[1] = 0;
    message[2] = 0;
    message[3] = 1;
    message[4] = ATLS_UPDATE_NOT_REQUESTED;

    iov.iov_base = message;
    iov.iov_len = sizeof(message);

    n = atls_record_seal(&ch->write, ATLS_HANDSHAKE, &iov, 1, out);
    if (n == -1) {
        return atls_channel_broken(ch);
    }

    ch->state->answer_owed = 0;

    if (atls_state_update_write(ch->state) == -1) {
        return atls_channel_broken(ch);
    }

    atls_cipher_rekey(&ch->write);

    return n;
}


ssize_t
atls_channel_alert(atls_channel_t *ch, unsigned alert, uint8_t *out)
{
    ssize_t  n;

    if (ch->state->write_closed) {
        return 0;
    }

    n = atls_channel_alert_write(ch, alert, out);

    ch->state->write_closed = 1;

    return n;
}


static ssize_t
atls_channel_alert_write(atls_channel_t *ch, unsigned alert, uint8_t *out)
{
    ssize_t       n;
    uint8_t       message[2];
    struct iovec  iov;

    message[0] = ATLS_FATAL;
    message[1] = (uint8_t) alert;

    if (alert == ATLS_CLOSE_NOTIFY || alert == ATLS_NO_RENEGOTIATION) {
        message[0] = ATLS_WARNING;
    }

    iov.iov_base = message;
    iov.iov_len = sizeof(message);

    n = atls_record_seal(&ch->write, ATLS_ALERT, &iov, 1, out);
    if (n == -1) {
        return atls_channel_broken(ch);
    }

    return n;
}


/*
 * The last record that the key may seal, RFC 8446, section 5.5.  It is kept
 * for the KeyUpdate or, as TLS 1.2 has none, for the alert at the end.
 */

static int
atls_channel_last(const atls_channel_t *ch)
{
    uint64_t  seq;

    seq = ch->state->write.seq;

    if (ch->state->protocol != ATLS_TLSv1_3) {
        seq += ch->state->answer_owed;
    }

    return seq >= atls_aead_limit(ch->state->aead) - 1;
}


static int
atls_channel_error(atls_channel_t *ch, unsigned alert, const char *error)
{
    ch->alert = (uint8_t) alert;
    ch->error = error;

    return ATLS_ERROR;
}


/* Nobody knows how much was sealed: never use the write key again. */

static ssize_t
atls_channel_broken(atls_channel_t *ch)
{
    ch->state->write_closed = 1;

    return atls_channel_error(ch, ATLS_INTERNAL_ERROR,
                              "cannot seal a record");
}
