
/*
 * DTLS records of a channel, see trl_datagram.h.
 */


#include "trl_datagram.h"


static int trl_datagram_alert(trl_channel_t *ch, const trl_datagram_t *d);
static int trl_datagram_handshake(trl_channel_t *ch, const trl_datagram_t *d);
static int trl_datagram_discard(trl_channel_t *ch, trl_error_e reason);


/* The version of a ClientHello may be that of DTLS 1.0, as in OpenSSL. */

ssize_t
trl_datagram_size(const uint8_t *header)
{
    size_t  len;

    len = ((size_t) header[11] << 8) | header[12];

    if (header[0] < TRL_CHANGE_CIPHER_SPEC || header[0] > TRL_APPLICATION_DATA
        || header[1] != TRL_DTLSv1_2 >> 8
        || TRL_DATAGRAM_HEADER + len > TRL_MAX_RECORD)
    {
        return TRL_ERROR;
    }

    return (ssize_t) (TRL_DATAGRAM_HEADER + len);
}


uint32_t
trl_datagram_number(uint8_t *flight, size_t len, uint32_t first)
{
    size_t    size;
    uint8_t  *p, *last;
    uint32_t  n;

    n = 0;
    last = flight + len;

    for (p = flight; last - p >= TRL_DATAGRAM_HEADER; p += size) {

        size = TRL_DATAGRAM_HEADER + ((size_t) p[11] << 8 | p[12]);

        if (size > (size_t) (last - p)) {
            break;
        }

        if (p[3] || p[4]) {
            continue;
        }

        p[5] = 0;
        p[6] = 0;
        p[7] = (uint8_t) ((first + n) >> 24);
        p[8] = (uint8_t) ((first + n) >> 16);
        p[9] = (uint8_t) ((first + n) >> 8);
        p[10] = (uint8_t) (first + n);

        n++;
    }

    return n;
}


/*
 * RFC 6347, section 4.1.2.7: invalid records are discarded, and fatal alerts
 * are not recommended: anybody could have sent the record.
 */

int
trl_datagram_open(trl_channel_t *ch, uint8_t *record, size_t len,
    trl_datagram_t *d)
{
    ssize_t  n;

    if (len < TRL_DATAGRAM_HEADER
        || trl_datagram_size(record) != (ssize_t) len)
    {
        return trl_datagram_discard(ch, TRL_E_INCOMPLETE);
    }

    if (record[1] != TRL_DTLSv1_2 >> 8 || record[2] != (TRL_DTLSv1_2 & 0xff)) {
        return trl_datagram_discard(ch, TRL_E_VERSION);
    }

    if (record[3] != 0 || record[4] != TRL_DATA_EPOCH) {
        return trl_datagram_discard(ch, TRL_E_EPOCH);
    }

    n = trl_record_open(&ch->read, record, len, &d->type, &d->data);

    if (n == -1) {

        /* the context is in the middle of a record */

        trl_cipher_rekey(&ch->read);

        return trl_datagram_discard(ch, TRL_E_BAD_MAC);
    }

    d->len = (size_t) n;
    d->number = trl_epoch_number(ch->state->read.seq - 1);

    return TRL_OK;
}


int
trl_datagram_read(trl_channel_t *ch, trl_datagram_t *d)
{
    int  rc;

    if (d->len > trl_channel_max(ch)) {
        return trl_datagram_discard(ch, TRL_E_LONG_PLAINTEXT);
    }

    switch (d->type) {

    case TRL_APPLICATION_DATA:
        return TRL_OK;

    case TRL_ALERT:
        rc = trl_datagram_alert(ch, d);
        break;

    case TRL_HANDSHAKE:
        rc = trl_datagram_handshake(ch, d);
        break;

    default:
        rc = trl_datagram_discard(ch, TRL_E_TYPE);
    }

    d->len = 0;

    return rc;
}


static int
trl_datagram_alert(trl_channel_t *ch, const trl_datagram_t *d)
{
    if (d->len != 2) {
        return trl_datagram_discard(ch, d->len ? TRL_E_BAD_ALERT
                                               : TRL_E_EMPTY_ALERT);
    }

    if (d->data[1] == TRL_CLOSE_NOTIFY) {
        ch->state->read_closed = 1;
        return TRL_CLOSED;
    }

    if (d->data[0] == TRL_WARNING) {
        return TRL_OK;
    }

    if (d->data[0] != TRL_FATAL) {
        return trl_datagram_discard(ch, TRL_E_ALERT_LEVEL);
    }

    ch->peer_alert = d->data[1];
    ch->state->write_closed = 1;
    ch->reason = TRL_E_ALERT;
    ch->error = trl_error_text(TRL_E_ALERT);

    return TRL_ERROR;
}


/*
 * A client sends Finished again if the last flight was lost; the caller has
 * this flight.  Renegotiation is refused, as in TLS 1.2.
 */

static int
trl_datagram_handshake(trl_channel_t *ch, const trl_datagram_t *d)
{
    if (d->len == 0) {
        return trl_datagram_discard(ch, TRL_E_EMPTY_HANDSHAKE);
    }

    switch (d->data[0]) {

    case TRL_FINISHED:
        return TRL_OK;

    case TRL_CLIENT_HELLO:
        ch->state->answer_owed = 1;
        return TRL_OK;

    default:
        return trl_datagram_discard(ch, TRL_E_MESSAGE);
    }
}


unsigned
trl_datagram_needs(const trl_channel_t *ch)
{
    return 1 + ch->state->answer_owed;
}


void
trl_datagram_reserve(trl_channel_t *ch, uint64_t first, unsigned n)
{
    ch->state->write.seq = first;
    ch->write.end = first + n;
}


static int
trl_datagram_discard(trl_channel_t *ch, trl_error_e reason)
{
    ch->reason = reason;

    return TRL_FOREIGN;
}
