
/*
 * The channel: accepted and refused input, and alerts.
 */


#include "unit.h"


static uint8_t  record[2 * UNIT_BUFFER];
static uint8_t  zeros[TRL_MAX_PLAINTEXT + 300];


static int
open_record(unit_pair_t *p, size_t len, size_t *n)
{
    uint8_t  *data;

    return trl_channel_open(&p->ch, record, len, &data, n);
}


/* A valid record of the peer. */

static int
open_good(unit_pair_t *p, unsigned type, const void *data, size_t len)
{
    int       rc;
    size_t    n, size;
    uint8_t  *plain;

    size = unit_seal(p, type, data, len, record);
    rc = trl_channel_open(&p->ch, record, size, &plain, &n);

    if (rc == TRL_OK && type == TRL_APPLICATION_DATA) {
        must(n == len && memcmp(plain, data, len) == 0);

    } else {
        must(n == 0);
    }

    return rc;
}


static void
peer_update(unit_pair_t *p)
{
    must(trl_state_update_write(&p->peer) == 0);
    trl_cipher_rekey(&p->write);
}


static int
open_update(unit_pair_t *p, const char *message)
{
    int  rc;

    rc = open_good(p, TRL_HANDSHAKE, message, 5);
    peer_update(p);

    return rc;
}


/* Whether the last record was refused with the alert, and so is the next. */

static void
refused(unit_pair_t *p, int rc, unsigned alert, const char *name)
{
    int          pass;
    size_t       len;
    unsigned     protocol, type;
    uint8_t     *plain;
    const char  *error;

    protocol = p->state.protocol;
    error = p->ch.error;

    pass = (rc == TRL_ERROR && p->ch.alert == alert && error != NULL
            && p->ch.peer_alert == 0);

    if (!pass) {
        printf("# rc:%d alert:%d error:%s\n", rc, p->ch.alert,
               error ? error : "none");
    }

    ok(pass, "%s: %s", unit_protocol_name(protocol), name);

    pass = (open_good(p, TRL_APPLICATION_DATA, "more", 4) == TRL_ERROR
            && p->ch.alert == alert);

    /* the peer can read the alert */

    len = (size_t) trl_channel_alert(&p->ch, alert, record);

    pass = (pass && len <= TRL_CHANNEL_SHORT_RECORD
            && trl_record_open(&p->read, record, len, &type, &plain) == 2
            && type == TRL_ALERT
            && plain[0] == ((alert == TRL_NO_RENEGOTIATION) ? 1 : 2)
            && plain[1] == alert
            && trl_channel_alert(&p->ch, alert, record) == 0
            && trl_channel_seal(&p->ch, NULL, 0, record) == -1);

    ok(pass, "%s: %s, and that is the end", unit_protocol_name(protocol),
       name);

    unit_pair_done(p);
}


static void
test_headers(unsigned protocol)
{
    size_t       i;
    uint8_t      header[5];
    unit_pair_t  p;
    unsigned     type, max, good, version, wrong;

    max = TRL_MAX_PLAINTEXT + ((protocol == TRL_TLSv1_3) ? 256 : 2048);

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    wrong = 0;

    header[1] = 3;
    header[2] = 3;
    header[3] = 0;
    header[4] = 100;

    for (type = 0; type < 256; type++) {
        header[0] = (uint8_t) type;
        p.ch.alert = 0;

        good = (protocol == TRL_TLSv1_3) ? (type == 23)
                                          : (type >= 21 && type <= 23);

        if (good) {
            wrong += (trl_channel_header(&p.ch, header) != 105);

        } else {
            wrong += (trl_channel_header(&p.ch, header) != TRL_ERROR
                      || p.ch.alert != TRL_UNEXPECTED_MESSAGE);
        }
    }

    ok(wrong == 0, "%s: outer types", unit_protocol_name(protocol));

    header[0] = 23;
    wrong = 0;

    for (version = 0; version < 0x10000; version++) {
        header[1] = (uint8_t) (version >> 8);
        header[2] = (uint8_t) version;
        p.ch.alert = 0;

        good = (protocol == TRL_TLSv1_3) ? (version >> 8 == 3)
                                          : (version == 0x0303);

        if (good) {
            wrong += (trl_channel_header(&p.ch, header) != 105);

        } else {
            wrong += (trl_channel_header(&p.ch, header) != TRL_ERROR
                      || p.ch.alert != TRL_PROTOCOL_VERSION);
        }
    }

    ok(wrong == 0, "%s: versions", unit_protocol_name(protocol));

    header[1] = 3;
    header[2] = 3;
    wrong = 0;

    for (i = 0; i < 0x10000; i++) {
        header[3] = (uint8_t) (i >> 8);
        header[4] = (uint8_t) i;
        p.ch.alert = 0;

        if (i <= max) {
            wrong += (trl_channel_header(&p.ch, header) != (ssize_t) i + 5);

        } else {
            wrong += (trl_channel_header(&p.ch, header) != TRL_ERROR
                      || p.ch.alert != TRL_RECORD_OVERFLOW);
        }
    }

    ok(wrong == 0 && max + 5 <= TRL_MAX_RECORD, "%s: lengths",
       unit_protocol_name(protocol));

    unit_pair_done(&p);
}


/* The same when records are opened. */

static void
test_headers_opened(unsigned protocol)
{
    size_t       n;
    unit_pair_t  p;

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    n = unit_seal(&p, TRL_APPLICATION_DATA, "data", 4, record);
    record[0] = TRL_CHANGE_CIPHER_SPEC;
    refused(&p, open_record(&p, n, &n), TRL_UNEXPECTED_MESSAGE,
            "ChangeCipherSpec refused");

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    memcpy(record, "\24\3\3\0\1\1", 6);
    refused(&p, open_record(&p, 6, &n), TRL_UNEXPECTED_MESSAGE,
            "plaintext ChangeCipherSpec refused");

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    memcpy(record, "\25\3\3\0\2\1\0", 7);
    refused(&p, open_record(&p, 7, &n),
            (protocol == TRL_TLSv1_3) ? TRL_UNEXPECTED_MESSAGE
                                       : TRL_BAD_RECORD_MAC,
            "plaintext alert refused");

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    n = unit_seal(&p, TRL_APPLICATION_DATA, "data", 4, record);
    record[1] = 2;
    refused(&p, open_record(&p, n, &n), TRL_PROTOCOL_VERSION,
            "wrong version refused");

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    memcpy(record, "\27\3\3\110\1", 5);
    refused(&p, open_record(&p, 0x4806, &n), TRL_RECORD_OVERFLOW,
            "2^14 + 2049 bytes refused");
}


static void
test_forgery(unsigned protocol, unsigned aead)
{
    int          rc;
    size_t       i, n, len, taken;
    uint8_t      good[64], *data;
    unsigned     wrong, alert;
    unit_pair_t  p;

    wrong = 0;
    taken = 0;

    for (i = 0; ; i++) {
        unit_pair(&p, protocol, aead);
        len = unit_seal(&p, TRL_APPLICATION_DATA, "data", 4, good);

        if (i == len) {
            break;
        }

        good[i] ^= 0x40;

        alert = (i == 0) ? TRL_UNEXPECTED_MESSAGE
                : (i == 1) ? TRL_PROTOCOL_VERSION
                : (i == 2) ? ((protocol == TRL_TLSv1_3)
                              ? TRL_BAD_RECORD_MAC : TRL_PROTOCOL_VERSION)
                : (i <= 4) ? TRL_DECODE_ERROR : TRL_BAD_RECORD_MAC;

        rc = trl_channel_open(&p.ch, good, len, &data, &n);

        taken += (rc != TRL_ERROR || n != 0);
        wrong += (p.ch.alert != alert);

        unit_pair_done(&p);
    }

    unit_pair_done(&p);

    ok(taken == 0, "%s %s: no forgery taken", unit_protocol_name(protocol),
       unit_aead_name(aead));
    ok(wrong == 0, "%s %s: the right alerts", unit_protocol_name(protocol),
       unit_aead_name(aead));

    /* truncation, with the original and with the new length */

    wrong = 0;
    taken = 0;

    for (i = 0; i < 2 * len; i++) {
        unit_pair(&p, protocol, aead);
        n = unit_seal(&p, TRL_APPLICATION_DATA, "data", 4, good);
        must(n == len);

        if (i >= len && i - len >= 5) {
            good[3] = 0;
            good[4] = (uint8_t) (i - len - 5);
            alert = TRL_BAD_RECORD_MAC;

        } else {
            alert = TRL_DECODE_ERROR;
        }

        rc = trl_channel_open(&p.ch, good, i % len, &data, &n);

        taken += (rc != TRL_ERROR || n != 0);
        wrong += (p.ch.alert != alert);

        unit_pair_done(&p);
    }

    ok(taken == 0 && wrong == 0, "%s %s: truncations refused",
       unit_protocol_name(protocol), unit_aead_name(aead));

    unit_pair(&p, protocol, aead);
    n = unit_seal(&p, TRL_APPLICATION_DATA, "data", 4, record);
    memcpy(good, record, n);
    ok(open_record(&p, n, &n) == TRL_OK, "%s: a record",
       unit_protocol_name(protocol));
    memcpy(record, good, len);
    refused(&p, open_record(&p, len, &n), TRL_BAD_RECORD_MAC,
            "and its replay");

    unit_pair(&p, protocol, aead);
    unit_seal(&p, TRL_APPLICATION_DATA, "one", 3, record);
    refused(&p, open_good(&p, TRL_APPLICATION_DATA, "two", 3),
            TRL_BAD_RECORD_MAC, "a record is missing");
}


/* Any number of foreign records, and the next one is opened as if alone. */

static void
test_foreign(unsigned protocol, unsigned aead)
{
    size_t       i, n, len;
    uint8_t      good[64], *data;
    unsigned     wrong, j;
    trl_state_t  before;
    unit_pair_t  p;

    unit_pair(&p, protocol, aead);
    wrong = 0;

    for (j = 0; j < 3; j++) {
        len = unit_seal(&p, TRL_APPLICATION_DATA, "data", 4, good);
        before = p.state;

        for (i = 0; i < 2 * len; i++) {
            memcpy(record, good, len);

            n = (i < len) ? len : i - len;

            if (i < len) {
                record[i] ^= 0x40;

            } else if (n >= TRL_HEADER_SIZE && j) {
                record[3] = 0;
                record[4] = (uint8_t) (n - TRL_HEADER_SIZE);
            }

            wrong += (trl_channel_try(&p.ch, record, n, &data, &n)
                      != TRL_FOREIGN);

            before.read.forged = p.state.read.forged;

            wrong += (n != 0 || p.ch.error != NULL || p.ch.alert != 0
                      || memcmp(&before, &p.state, sizeof(before)) != 0
                      || (i < len - 1
                          && record[len - 1] != good[len - 1]));
        }

        memcpy(record, good, len);
        wrong += (trl_channel_try(&p.ch, record, len, &data, &n) != TRL_OK
                  || n != 4 || memcmp(data, "data", 4) != 0);

        /* a replay */

        memcpy(record, good, len);
        wrong += (trl_channel_try(&p.ch, record, len, &data, &n)
                  != TRL_FOREIGN);

        p.state.read.forged = 0;
    }

    ok(wrong == 0, "%s %s: foreign records", unit_protocol_name(protocol),
       unit_aead_name(aead));

    len = unit_seal(&p, TRL_ALERT, "", 0, record);
    refused(&p, trl_channel_try(&p.ch, record, len, &data, &n),
            TRL_UNEXPECTED_MESSAGE, "an authentic one that breaks the rules");

    /* the first record of a key has the number 0, as the next one has then */

    if (protocol == TRL_TLSv1_3) {
        unit_pair(&p, protocol, aead);
        len = unit_seal(&p, TRL_HANDSHAKE, "\30\0\0\1\0", 5, record);
        ok(trl_channel_try(&p.ch, record, len, &data, &n) == TRL_OK,
           "a KeyUpdate as the first record");
        peer_update(&p);
        ok(open_good(&p, TRL_APPLICATION_DATA, "more", 4) == TRL_OK,
           "and data with the next key");
        unit_pair_done(&p);
    }
}


/* RFC 9147, section 4.5.3; the limit is for a key. */

static void
test_forgeries(unsigned protocol)
{
    size_t       len, n;
    uint8_t      good[64], *data;
    unsigned     tries;
    unit_pair_t  p;

    unit_pair(&p, protocol, TRL_AES_128_CCM_8);

    if (protocol == TRL_TLSv1_3) {
        p.state.read.forged = 100;
        ok(open_good(&p, TRL_HANDSHAKE, "\30\0\0\1\0", 5) == TRL_OK
           && p.state.read.forged == 0, "KeyUpdate: no forgeries yet");
        peer_update(&p);
    }

    len = unit_seal(&p, TRL_APPLICATION_DATA, "data", 4, good);
    good[len - 1] ^= 1;

    for (tries = 1; tries < 1000; tries++) {
        memcpy(record, good, len);

        if (trl_channel_try(&p.ch, record, len, &data, &n) != TRL_FOREIGN) {
            break;
        }
    }

    ok(tries == 1 << 7, "%s: forgeries, %u", unit_protocol_name(protocol),
       tries);
    refused(&p, TRL_ERROR, TRL_BAD_RECORD_MAC, "too many forgeries");
}


static void
test_empty(unsigned protocol)
{
    int          i, rc;
    unit_pair_t  p;

    unit_pair(&p, protocol, TRL_CHACHA20_POLY1305);
    rc = TRL_OK;

    for (i = 0; i < 64 && rc == TRL_OK; i++) {
        if (i == 32) {
            rc = open_good(&p, TRL_APPLICATION_DATA, "data", 4);
        }

        rc |= open_good(&p, TRL_APPLICATION_DATA, "", 0);
    }

    ok(rc == TRL_OK, "%s: 32 empty records, data, 32 empty records",
       unit_protocol_name(protocol));

    refused(&p, open_good(&p, TRL_APPLICATION_DATA, "", 0),
            TRL_UNEXPECTED_MESSAGE, "33 empty records refused");

    unit_pair(&p, protocol, TRL_CHACHA20_POLY1305);
    refused(&p, open_good(&p, TRL_HANDSHAKE, "", 0),
            TRL_UNEXPECTED_MESSAGE, "empty handshake record refused");

    unit_pair(&p, protocol, TRL_CHACHA20_POLY1305);
    refused(&p, open_good(&p, TRL_ALERT, "", 0),
            TRL_UNEXPECTED_MESSAGE, "empty alert record refused");
}


static void
test_alerts(unsigned protocol)
{
    int          i, rc, alert;
    char         message[3];
    unit_pair_t  p;

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    ok(open_good(&p, TRL_ALERT, "\1\0", 2) == TRL_CLOSED
       && p.state.read_closed && p.ch.error == NULL,
       "%s: close_notify", unit_protocol_name(protocol));
    ok(open_good(&p, TRL_APPLICATION_DATA, "data", 4) == TRL_CLOSED,
       "%s: data after close_notify ignored", unit_protocol_name(protocol));
    ok(open_good(&p, TRL_ALERT, "\2\24", 2) == TRL_CLOSED
       && p.ch.peer_alert == 0,
       "%s: alert after close_notify ignored", unit_protocol_name(protocol));
    ok(trl_channel_seal(&p.ch, NULL, 0, record) > 0
       && trl_channel_alert(&p.ch, 0, record) > 0
       && trl_channel_seal(&p.ch, NULL, 0, record) == -1
       && trl_channel_answer(&p.ch, record) == 0
       && trl_channel_alert(&p.ch, 0, record) == 0,
       "%s: sealing until our close_notify", unit_protocol_name(protocol));
    unit_pair_done(&p);

    for (alert = 1, rc = 0; alert < 256; alert++) {
        if (alert == 90 && protocol == TRL_TLSv1_3) {
            continue;
        }

        message[0] = 2;
        message[1] = (char) alert;

        unit_pair(&p, protocol, TRL_AES_128_GCM);

        rc += (open_good(&p, TRL_ALERT, message, 2) != TRL_ERROR
               || p.ch.peer_alert != alert || p.ch.error == NULL
               || trl_channel_alert(&p.ch, p.ch.alert, record) != 0
               || trl_channel_seal(&p.ch, NULL, 0, record) != -1);

        unit_pair_done(&p);
    }

    ok(rc == 0, "%s: fatal alerts, with no answer",
       unit_protocol_name(protocol));

    unit_pair(&p, protocol, TRL_AES_128_GCM);

    for (i = 0, rc = TRL_OK; i < 32; i++) {
        rc |= open_good(&p, TRL_ALERT, "\1\132", 2);
    }

    ok(rc == TRL_OK, "%s: user_canceled ignored",
       unit_protocol_name(protocol));
    refused(&p, open_good(&p, TRL_ALERT, "\1\132", 2),
            TRL_UNEXPECTED_MESSAGE, "33 ignored alerts refused");

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    refused(&p, open_good(&p, TRL_ALERT, "\1", 1), TRL_DECODE_ERROR,
            "half an alert refused");

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    refused(&p, open_good(&p, TRL_ALERT, "\1\0\1\0", 4), TRL_DECODE_ERROR,
            "two alerts in a record refused");

    unit_pair(&p, protocol, TRL_AES_128_GCM);
    rc = open_good(&p, TRL_ALERT, "\1\144", 2);

    if (protocol == TRL_TLSv1_3) {
        ok(rc == TRL_ERROR && p.ch.peer_alert == 100,
           "TLS 1.3: an alert is fatal whatever its level");

    } else {
        ok(rc == TRL_OK, "TLS 1.2: a warning is ignored");
        ok(open_good(&p, TRL_ALERT, "\3\144", 2) == TRL_ERROR
           && p.ch.alert == TRL_ILLEGAL_PARAMETER && !p.ch.peer_alert,
           "TLS 1.2: unknown alert level");
    }

    unit_pair_done(&p);
}


/* TLS 1.3 records that other tests cannot create. */

static void
test_inner(void)
{
    size_t       n;
    unit_pair_t  p;

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_128_CCM);
    refused(&p, open_good(&p, 0, "", 0), TRL_UNEXPECTED_MESSAGE,
            "only a zero");

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_128_GCM);
    refused(&p, open_good(&p, 0, zeros, TRL_MAX_PLAINTEXT),
            TRL_UNEXPECTED_MESSAGE, "only padding");

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_128_GCM);
    refused(&p, open_good(&p, TRL_CHANGE_CIPHER_SPEC, "\1", 1),
            TRL_UNEXPECTED_MESSAGE, "protected ChangeCipherSpec");

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_128_GCM);
    refused(&p, open_good(&p, 24, "\1\0", 2), TRL_UNEXPECTED_MESSAGE,
            "heartbeat");

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_128_GCM);
    n = unit_seal(&p, 0, "data\27\0\0\0\0", 9, record);
    ok(open_record(&p, n, &n) == TRL_OK && n == 4, "TLS 1.3: padding");

    memset(zeros, 0, sizeof(zeros));
    zeros[0] = TRL_APPLICATION_DATA;
    n = unit_seal(&p, 0, zeros, TRL_MAX_PLAINTEXT, record);
    ok(open_record(&p, n, &n) == TRL_OK && n == 0,
       "TLS 1.3: as much padding as may be");

    n = unit_raw_seal(&p.peer.write, TRL_TLSv1_3, 16, 23, 0x0303, zeros,
                      TRL_MAX_PLAINTEXT + 2, record);
    refused(&p, open_record(&p, n, &n), TRL_RECORD_OVERFLOW,
            "more padding than may be");

    zeros[0] = 0;
    zeros[TRL_MAX_PLAINTEXT + 1] = TRL_APPLICATION_DATA;
    unit_pair(&p, TRL_TLSv1_3, TRL_AES_128_GCM);
    n = unit_raw_seal(&p.peer.write, TRL_TLSv1_3, 16, 23, 0x0303, zeros,
                      TRL_MAX_PLAINTEXT + 2, record);
    refused(&p, open_record(&p, n, &n), TRL_RECORD_OVERFLOW,
            "2^14 + 1 bytes of data");
    zeros[TRL_MAX_PLAINTEXT + 1] = 0;

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_128_GCM);
    n = unit_raw_seal(&p.peer.write, TRL_TLSv1_3, 16, 23, 0x0301, "data\27",
                      5, record);
    ok(open_record(&p, n, &n) == TRL_OK && n == 4,
       "TLS 1.3: record version 3.1");

    n = unit_raw_seal(&p.peer.write, TRL_TLSv1_3, 16, 22, 0x0303, "data\27",
                      5, record);
    refused(&p, open_record(&p, n, &n), TRL_UNEXPECTED_MESSAGE,
            "good record of outer type handshake");
}


static void
test_tls12(void)
{
    size_t       n;
    unit_pair_t  p;

    unit_pair(&p, TRL_TLSv1_2, TRL_AES_128_GCM);
    n = unit_raw_seal(&p.peer.write, TRL_TLSv1_2, 16, 23, 0x0303, zeros,
                      TRL_MAX_PLAINTEXT, record);
    ok(open_record(&p, n, &n) == TRL_OK && n == TRL_MAX_PLAINTEXT,
       "TLS 1.2: 2^14 bytes of data");
    n = unit_raw_seal(&p.peer.write, TRL_TLSv1_2, 16, 23, 0x0303, zeros,
                      TRL_MAX_PLAINTEXT + 1, record);
    refused(&p, open_record(&p, n, &n), TRL_RECORD_OVERFLOW,
            "2^14 + 1 bytes of data");

    unit_pair(&p, TRL_TLSv1_2, TRL_AES_128_GCM);
    n = unit_raw_seal(&p.peer.write, TRL_TLSv1_2, 16, 23, 0x0302, "data", 4,
                      record);
    refused(&p, open_record(&p, n, &n), TRL_PROTOCOL_VERSION,
            "record version 3.2");

    unit_pair(&p, TRL_TLSv1_2, TRL_AES_128_GCM);
    ok(trl_state_update_read(&p.state) == -1
       && trl_state_update_write(&p.state) == -1, "TLS 1.2: no key updates");
    unit_pair_done(&p);
}


/* The only response is no_renegotiation. */

static int
answered(unit_pair_t *p)
{
    ssize_t    len;
    uint8_t   *data;
    unsigned   type;

    len = trl_channel_answer(&p->ch, record);

    return len > 0 && len <= TRL_CHANNEL_SHORT_RECORD
           && trl_record_open(&p->read, record, (size_t) len, &type, &data)
              == 2
           && type == TRL_ALERT && data[0] == 1
           && data[1] == TRL_NO_RENEGOTIATION
           && trl_channel_answer(&p->ch, record) == 0;
}


static const char  hello[] = "\1\0\0\4abcd";


static void
test_renegotiation(void)
{
    int           i, rc;
    size_t        n;
    ssize_t       len;
    uint8_t      *data;
    unsigned      got;
    unit_pair_t   p;
    trl_state_t   moved;
    struct iovec  iov;

    unit_pair(&p, TRL_TLSv1_2, TRL_AES_128_GCM);

    ok(open_good(&p, TRL_HANDSHAKE, hello, 8) == TRL_OK && answered(&p),
       "a ClientHello is answered with no_renegotiation");
    ok(open_good(&p, TRL_APPLICATION_DATA, "data", 4) == TRL_OK,
       "and the session goes on");
    ok(open_good(&p, TRL_HANDSHAKE, "\1\0\0\0", 4) == TRL_OK
       && answered(&p), "an empty one");

    /* split anywhere, the state moved in between */

    for (i = 1, rc = 1; i < 8; i++) {
        rc &= (open_good(&p, TRL_HANDSHAKE, hello, (size_t) i) == TRL_OK
               && !p.ch.state->answer_owed);
        unit_move(&p.ch, &moved);
        rc &= (open_good(&p, TRL_HANDSHAKE, hello + i, (size_t) (8 - i))
               == TRL_OK);
        unit_move(&p.ch, &p.state);
        rc &= answered(&p);
    }

    ok(rc, "one in two records");

    must(open_good(&p, TRL_APPLICATION_DATA, "data", 4) == TRL_OK);

    /* two in a record, and the beginning of a third one */

    ok(open_good(&p, TRL_HANDSHAKE, "\1\0\0\1x\1\0\0\0\1\0", 11) == TRL_OK
       && answered(&p)
       && open_good(&p, TRL_HANDSHAKE, "\0\1x", 3) == TRL_OK,
       "several in a record");

    /* the response is sent before data */

    iov.iov_base = zeros;
    iov.iov_len = TRL_MAX_PLAINTEXT;
    len = trl_channel_seal(&p.ch, &iov, 1, record);
    n = 5 + ((size_t) record[3] << 8 | record[4]);

    ok(len > 0 && len <= TRL_MAX_PLAINTEXT + TRL_CHANNEL_OVERHEAD
       && n < (size_t) len
       && trl_record_open(&p.read, record, n, &got, &data) == 2
       && got == TRL_ALERT
       && trl_record_open(&p.read, record + n, (size_t) len - n, &got, &data)
          == TRL_MAX_PLAINTEXT
       && got == TRL_APPLICATION_DATA, "no_renegotiation before data");
    unit_pair_done(&p);
}


static void
test_renegotiation_refused(void)
{
    int          i, rc, type;
    char         message[1];
    size_t       n;
    ssize_t      len;
    unit_pair_t  p;

    /* a long message, and one that is too long */

    unit_pair(&p, TRL_TLSv1_2, TRL_AES_128_GCM);
    rc = open_good(&p, TRL_HANDSHAKE, "\1\2\1\104", 4);

    for (n = 131396; n > 0; n -= (size_t) len) {
        len = (n < 10000) ? (ssize_t) n : 10000;
        must(!p.state.answer_owed);
        rc |= open_good(&p, TRL_HANDSHAKE, zeros, (size_t) len);
    }

    ok(rc == TRL_OK && answered(&p), "a ClientHello of 131396 bytes");
    refused(&p, open_good(&p, TRL_HANDSHAKE, "\1\2\1\105", 4),
            TRL_ILLEGAL_PARAMETER, "a longer ClientHello");

    /* other messages, at their first byte */

    for (type = 0, rc = 0; type < 256; type++) {
        message[0] = (char) type;

        unit_pair(&p, TRL_TLSv1_2, TRL_AES_128_GCM);

        if (type != 1) {
            rc += (open_good(&p, TRL_HANDSHAKE, message, 1) != TRL_ERROR
                   || p.ch.alert != TRL_UNEXPECTED_MESSAGE);
        }

        unit_pair_done(&p);
    }

    ok(rc == 0, "TLS 1.2: any other message is unexpected");

    unit_pair(&p, TRL_TLSv1_2, TRL_AES_128_GCM);
    refused(&p, open_good(&p, TRL_HANDSHAKE, "\1\0\0\1x\20", 6),
            TRL_UNEXPECTED_MESSAGE, "another message behind a ClientHello");

    /* nothing is allowed between the pieces */

    for (type = TRL_ALERT; type <= TRL_APPLICATION_DATA; type += 2) {
        unit_pair(&p, TRL_TLSv1_2, TRL_AES_128_GCM);
        must(open_good(&p, TRL_HANDSHAKE, hello, 7) == TRL_OK);
        refused(&p, open_good(&p, (unsigned) type, "\1\144", 2),
                TRL_UNEXPECTED_MESSAGE, "a record inside of a ClientHello");
    }

    /* many of them */

    unit_pair(&p, TRL_TLSv1_2, TRL_AES_128_GCM);

    for (i = 0, rc = TRL_OK; i < 64; i++) {
        if (i == 32) {
            rc |= open_good(&p, TRL_APPLICATION_DATA, "data", 4);
        }

        rc |= open_good(&p, TRL_HANDSHAKE, hello, 8);
    }

    ok(rc == TRL_OK && answered(&p), "32 ClientHellos, data, 32 ClientHellos");
    refused(&p, open_good(&p, TRL_HANDSHAKE, hello, 8),
            TRL_UNEXPECTED_MESSAGE, "33 ClientHellos refused");
}


static void
test_key_update(unsigned aead)
{
    int           rc;
    size_t        n;
    ssize_t       len;
    uint8_t      *data;
    unsigned      type;
    unit_pair_t   p;
    trl_state_t   moved;
    struct iovec  iov;

    unit_pair(&p, TRL_TLSv1_3, aead);

    ok(open_update(&p, "\30\0\0\1\0") == TRL_OK
       && p.state.read.seq == 0 && !p.state.answer_owed
       && trl_channel_answer(&p.ch, record) == 0,
       "%s: KeyUpdate", unit_aead_name(aead));
    ok(open_good(&p, TRL_APPLICATION_DATA, "data", 4) == TRL_OK,
       "%s: data after KeyUpdate", unit_aead_name(aead));

    rc = open_update(&p, "\30\0\0\1\1");
    rc |= open_update(&p, "\30\0\0\1\1");
    rc |= open_update(&p, "\30\0\0\1\0");

    ok(rc == TRL_OK && p.state.answer_owed,
       "%s: requests for KeyUpdate", unit_aead_name(aead));

    unit_move(&p.ch, &moved);

    len = trl_channel_answer(&p.ch, record);
    ok(len > 0 && len <= TRL_CHANNEL_SHORT_RECORD
       && trl_record_open(&p.read, record, (size_t) len, &type, &data) == 5
       && type == TRL_HANDSHAKE && memcmp(data, "\30\0\0\1\0", 5) == 0,
       "%s: one answer, after the state has moved", unit_aead_name(aead));
    ok(trl_channel_answer(&p.ch, record) == 0, "%s: and no other",
       unit_aead_name(aead));

    must(trl_state_update_read(&p.peer) == 0);
    trl_cipher_rekey(&p.read);

    iov.iov_base = "data";
    iov.iov_len = 4;
    len = trl_channel_seal(&p.ch, &iov, 1, record);
    ok(len > 0
       && trl_record_open(&p.read, record, (size_t) len, &type, &data) == 4
       && type == TRL_APPLICATION_DATA && memcmp(data, "data", 4) == 0,
       "%s: the new key is in use", unit_aead_name(aead));

    /* the response is sent before data */

    must(open_update(&p, "\30\0\0\1\1") == TRL_OK);
    iov.iov_base = zeros;
    iov.iov_len = TRL_MAX_PLAINTEXT;
    len = trl_channel_seal(&p.ch, &iov, 1, record);
    n = 5 + ((size_t) record[3] << 8 | record[4]);
    ok(len > 0 && len <= TRL_MAX_PLAINTEXT + TRL_CHANNEL_OVERHEAD
       && n < (size_t) len
       && trl_record_open(&p.read, record, n, &type, &data) == 5
       && type == TRL_HANDSHAKE
       && trl_state_update_read(&p.peer) == 0
       && (trl_cipher_rekey(&p.read), 1)
       && trl_record_open(&p.read, record + n, (size_t) len - n, &type,
                          &data)
          == TRL_MAX_PLAINTEXT,
       "%s: KeyUpdate before data", unit_aead_name(aead));

    unit_pair_done(&p);
}


static void
test_key_update_split(unsigned aead)
{
    int          i, rc, step;
    unit_pair_t  p;
    trl_state_t  moved;

    unit_pair(&p, TRL_TLSv1_3, aead);

    /* split anywhere, the state moved in between */

    for (step = 1, rc = TRL_OK; step < 5; step++) {
        rc |= open_good(&p, TRL_HANDSHAKE, "\30\0\0\1\0", (size_t) step);
        unit_move(&p.ch, (p.ch.state == &moved) ? &p.state : &moved);
        rc |= open_good(&p, TRL_HANDSHAKE, &"\30\0\0\1\0"[step],
                        (size_t) (5 - step));
        peer_update(&p);
        rc |= open_good(&p, TRL_APPLICATION_DATA, "data", 4);
    }

    ok(rc == TRL_OK, "%s: split KeyUpdates", unit_aead_name(aead));

    for (i = 0; i < 5; i++) {
        rc |= open_good(&p, TRL_HANDSHAKE, &"\30\0\0\1\1"[i], 1);
    }

    peer_update(&p);
    rc |= open_good(&p, TRL_APPLICATION_DATA, "data", 4);

    ok(rc == TRL_OK && p.ch.state->answer_owed,
       "%s: KeyUpdate byte by byte", unit_aead_name(aead));

    for (i = 0; i < 64 && rc == TRL_OK; i++) {
        if (i == 32) {
            rc |= open_good(&p, TRL_APPLICATION_DATA, "data", 4);
        }

        rc |= open_update(&p, "\30\0\0\1\0");
    }

    ok(rc == TRL_OK, "%s: 32 KeyUpdates, data, 32 KeyUpdates",
       unit_aead_name(aead));

    rc = open_good(&p, TRL_APPLICATION_DATA, "", 0);
    ok(rc == TRL_OK, "%s: an empty record does not count",
       unit_aead_name(aead));

    if (p.ch.state == &moved) {
        unit_move(&p.ch, &p.state);
    }

    refused(&p, open_good(&p, TRL_HANDSHAKE, "\30\0\0\1\0", 5),
            TRL_UNEXPECTED_MESSAGE, "33 KeyUpdates refused");
}


static void
test_bad_key_update(void)
{
    size_t       i, n;
    unit_pair_t  p;

    static const struct {
        const char  *name;
        unsigned     alert;
        unsigned     len;
        const char  *message;
    } bad[] = {
        { "value 2", TRL_ILLEGAL_PARAMETER, 5, "\30\0\0\1\2" },
        { "value 255", TRL_ILLEGAL_PARAMETER, 5, "\30\0\0\1\377" },
        { "length 0", TRL_DECODE_ERROR, 4, "\30\0\0\0" },
        { "length 2", TRL_DECODE_ERROR, 6, "\30\0\0\2\0\0" },
        { "length 257", TRL_DECODE_ERROR, 5, "\30\0\1\1\0" },
        { "length 65537", TRL_DECODE_ERROR, 5, "\30\1\0\1\0" },
        { "byte after", TRL_UNEXPECTED_MESSAGE, 6, "\30\0\0\1\0\30" },
        { "two in a record", TRL_UNEXPECTED_MESSAGE, 10,
          "\30\0\0\1\0\30\0\0\1\0" },
        { "ClientHello", TRL_UNEXPECTED_MESSAGE, 4, "\1\0\0\0" },
        { "NewSessionTicket", TRL_UNEXPECTED_MESSAGE, 4, "\4\0\0\0" },
        { "EndOfEarlyData", TRL_UNEXPECTED_MESSAGE, 4, "\5\0\0\0" },
        { "Certificate", TRL_UNEXPECTED_MESSAGE, 4, "\13\0\0\0" },
        { "Finished", TRL_UNEXPECTED_MESSAGE, 4, "\24\0\0\40" },
        { "HelloRequest", TRL_UNEXPECTED_MESSAGE, 4, "\0\0\0\0" }
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_pair(&p, TRL_TLSv1_3, TRL_AES_256_GCM);
        n = p.state.read.seq;
        refused(&p, open_good(&p, TRL_HANDSHAKE, bad[i].message, bad[i].len),
                bad[i].alert, bad[i].name);
        must(p.state.read.seq == n + 1);
    }

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_256_GCM);
    must(open_good(&p, TRL_HANDSHAKE, "\30\0", 2) == TRL_OK);
    refused(&p, open_good(&p, TRL_APPLICATION_DATA, "data", 4),
            TRL_UNEXPECTED_MESSAGE, "data inside KeyUpdate");

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_256_GCM);
    must(open_good(&p, TRL_HANDSHAKE, "\30\0\0\1", 4) == TRL_OK);
    refused(&p, open_good(&p, TRL_ALERT, "\1\0", 2),
            TRL_UNEXPECTED_MESSAGE, "close_notify inside KeyUpdate");

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_256_GCM);
    must(open_good(&p, TRL_HANDSHAKE, "\30\0\0\1", 4) == TRL_OK);
    refused(&p, open_good(&p, TRL_HANDSHAKE, "", 0),
            TRL_UNEXPECTED_MESSAGE, "empty record inside KeyUpdate");

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_256_GCM);
    must(open_good(&p, TRL_HANDSHAKE, "\30\0\0\1", 4) == TRL_OK);
    refused(&p, open_good(&p, TRL_HANDSHAKE, "\0\30", 2),
            TRL_UNEXPECTED_MESSAGE, "byte after a split KeyUpdate");

    /* the old key is gone */

    unit_pair(&p, TRL_TLSv1_3, TRL_AES_256_GCM);
    must(open_good(&p, TRL_HANDSHAKE, "\30\0\0\1\0", 5) == TRL_OK);
    refused(&p, open_good(&p, TRL_APPLICATION_DATA, "data", 4),
            TRL_BAD_RECORD_MAC, "data under the old key");
}


/* RFC 6066, section 4 */

static void
test_max_fragment(unsigned protocol)
{
    unit_pair_t   p;
    struct iovec  iov[2];

    unit_pair(&p, protocol, TRL_AES_128_CCM_8);
    p.state.max_fragment = 512;

    iov[0].iov_base = zeros;
    iov[0].iov_len = 512;
    iov[1].iov_base = zeros;
    iov[1].iov_len = 1;

    ok(trl_channel_max(&p.ch) == 512
       && trl_channel_seal(&p.ch, iov, 1, record) > 512
       && trl_channel_seal(&p.ch, iov, 2, record) == -1
       && trl_channel_seal(&p.ch, iov, 1, record) == -1,
       "%s: max_fragment_length, sealing", unit_protocol_name(protocol));
    unit_pair_done(&p);

    unit_pair(&p, protocol, TRL_AES_128_CCM_8);
    p.state.max_fragment = 512;

    ok(open_good(&p, TRL_APPLICATION_DATA, zeros, 512) == TRL_OK,
       "%s: max_fragment_length, opening", unit_protocol_name(protocol));
    refused(&p, open_good(&p, TRL_APPLICATION_DATA, zeros, 513),
            TRL_RECORD_OVERFLOW, "more than max_fragment_length");
}


static void
test_init(void)
{
    trl_state_t    state;
    trl_channel_t  ch;

    memset(&state, 0, sizeof(state));

    state.version = TRL_STATE_VERSION + 1;
    state.protocol = TRL_TLSv1_3;
    state.aead = TRL_AES_128_GCM;

    ok(trl_channel_init(&ch, &state) == TRL_ERROR && ch.error != NULL,
       "another layout refused");
    trl_channel_done(&ch);

    state.version = TRL_STATE_VERSION;
    state.aead = 0;

    ok(trl_channel_init(&ch, &state) == TRL_ERROR && ch.error != NULL,
       "no AEAD refused");
    trl_channel_done(&ch);

    state.aead = TRL_AES_128_GCM;
    state.protocol = 0;

    ok(trl_channel_init(&ch, &state) == TRL_ERROR && ch.error != NULL,
       "no protocol refused");
    trl_channel_done(&ch);

    ok(sizeof(trl_state_t) <= 288, "the state has %u bytes",
       (unsigned) sizeof(trl_state_t));
}


int
main(void)
{
    unsigned  i, aead, protocol;

    test_init();

    for (i = 0; i < 2; i++) {
        protocol = i ? TRL_TLSv1_2 : TRL_TLSv1_3;

        test_headers(protocol);
        test_headers_opened(protocol);
        test_empty(protocol);
        test_alerts(protocol);
        test_max_fragment(protocol);

        for (aead = TRL_AES_128_GCM; aead <= UNIT_LAST_AEAD; aead++) {
            test_forgery(protocol, aead);
            test_foreign(protocol, aead);
        }

        test_forgeries(protocol);
    }

    for (aead = TRL_AES_128_GCM; aead <= UNIT_LAST_AEAD; aead++) {
        test_key_update(aead);
        test_key_update_split(aead);
    }

    test_bad_key_update();
    test_inner();
    test_tls12();
    test_renegotiation();
    test_renegotiation_refused();

    return tap_done();
}
