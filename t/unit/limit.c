
/*
 * The AEAD limit, with a small value.
 */


#define TRL_AEAD_LIMIT   4

#include "unit.h"


static uint8_t  record[UNIT_BUFFER];


/* Opens sealed records.  Returns the length of the data. */

static ssize_t
peer_open(unit_pair_t *p, ssize_t len, int *updates)
{
    size_t     n;
    ssize_t    rc;
    uint8_t   *pos, *data;
    unsigned   type;

    must(len > 0 && len <= (ssize_t) sizeof(record));

    for (pos = record; len > 0; pos += n, len -= (ssize_t) n) {
        n = 5 + ((size_t) pos[3] << 8 | pos[4]);
        must(n <= (size_t) len);

        rc = trl_record_open(&p->read, pos, n, &type, &data);
        must(rc >= 0);

        if (type == TRL_HANDSHAKE) {
            must(rc == 5 && memcmp(data, "\30\0\0\1\0", 5) == 0);
            must(trl_state_update_read(&p->peer) == 0);
            trl_cipher_rekey(&p->read);
            (*updates)++;
            continue;
        }

        must((size_t) len == n);
        return rc;
    }

    return -1;
}


static void
test_tls13(unsigned aead)
{
    int           i, wrong, updates;
    ssize_t       len;
    unit_pair_t   p;
    struct iovec  iov;

    unit_pair(&p, TRL_TLSv1_3, aead);

    iov.iov_base = "data";
    iov.iov_len = 4;
    updates = 0;
    wrong = 0;

    for (i = 0; i < 31; i++) {
        len = trl_channel_seal(&p.ch, &iov, 1, record);
        wrong += (peer_open(&p, len, &updates) != 4
                  || p.state.write.seq > 3 || updates != i / 3);
    }

    ok(wrong == 0, "TLS 1.3 %s: a KeyUpdate is each key's fourth record",
       unit_aead_name(aead));

    while (p.state.write.seq < 3) {
        len = trl_channel_seal(&p.ch, &iov, 1, record);
        must(peer_open(&p, len, &updates) == 4);
    }

    len = trl_channel_alert(&p.ch, TRL_CLOSE_NOTIFY, record);

    ok(peer_open(&p, len, &updates) == 2, "TLS 1.3 %s: or an alert",
       unit_aead_name(aead));

    unit_pair_done(&p);
}


static void
test_tls12(unsigned aead)
{
    int           updates;
    ssize_t       len;
    unit_pair_t   p;
    struct iovec  iov;

    unit_pair(&p, TRL_TLSv1_2, aead);

    iov.iov_base = "data";
    iov.iov_len = 4;
    updates = 0;

    /* the first record was Finished */

    len = trl_channel_seal(&p.ch, &iov, 1, record);
    ok(peer_open(&p, len, &updates) == 4, "TLS 1.2 %s: a record",
       unit_aead_name(aead));

    len = trl_channel_seal(&p.ch, &iov, 1, record);
    ok(peer_open(&p, len, &updates) == 4, "TLS 1.2 %s: another",
       unit_aead_name(aead));

    ok(trl_channel_seal(&p.ch, &iov, 1, record) == -1
       && p.ch.error != NULL && p.ch.alert == TRL_CLOSE_NOTIFY
       && trl_channel_seal(&p.ch, &iov, 1, record) == -1,
       "TLS 1.2 %s: the limit", unit_aead_name(aead));

    len = trl_channel_alert(&p.ch, p.ch.alert, record);
    ok(peer_open(&p, len, &updates) == 2,
       "TLS 1.2 %s: the last record is close_notify", unit_aead_name(aead));

    ok(trl_channel_alert(&p.ch, 0, record) == 0
       && trl_channel_seal(&p.ch, &iov, 1, record) == -1
       && p.state.write.seq == 4,
       "TLS 1.2 %s: nothing after it", unit_aead_name(aead));

    unit_pair_done(&p);
}


/* The last record is reserved for the end, even if there is a response. */

static void
test_renegotiation(unsigned aead)
{
    int           updates;
    size_t        n, size;
    ssize_t       len;
    uint8_t      *data;
    unit_pair_t   p;
    struct iovec  iov;

    unit_pair(&p, TRL_TLSv1_2, aead);

    iov.iov_base = "data";
    iov.iov_len = 4;
    updates = 0;

    len = trl_channel_seal(&p.ch, &iov, 1, record);
    must(peer_open(&p, len, &updates) == 4);

    size = unit_seal(&p, TRL_HANDSHAKE, "\1\0\0\0", 4, record);
    must(trl_channel_open(&p.ch, record, size, &data, &n) == TRL_OK);

    ok(p.state.answer_owed && trl_channel_answer(&p.ch, record) == 0
       && trl_channel_seal(&p.ch, &iov, 1, record) == -1
       && p.ch.alert == TRL_CLOSE_NOTIFY,
       "TLS 1.2 %s: the limit is near for an answer", unit_aead_name(aead));

    len = trl_channel_alert(&p.ch, p.ch.alert, record);
    ok(peer_open(&p, len, &updates) == 2 && p.state.write.seq == 3,
       "TLS 1.2 %s: not for close_notify", unit_aead_name(aead));

    unit_pair_done(&p);
}


int
main(void)
{
    unsigned  aead;

    for (aead = TRL_AES_128_GCM; aead <= UNIT_LAST_AEAD; aead++) {
        test_tls13(aead);
        test_tls12(aead);
        test_renegotiation(aead);
    }

    return tap_done();
}
