
/*
 * Two channels with copies of a DTLS session, and a peer: one that sends bytes,
 * and one that has the keys and sends records with any content.  A record is
 * opened once, its data are those of the peer, and no number is sealed twice.
 *
 * Input: a byte for the AEAD, then operations, each with a byte, a length (two
 * bytes) and this many bytes, if available.
 *
 * Without FUZZ_ENGINE: main() with random input, a given number of times.
 */


#define TRL_AEAD_LIMIT   64

#include "unit.h"
#include "fuzz.h"


#define OPS  6

typedef struct {
    unit_pair_t         pair;               /* its state is in shared memory */
    trl_state_t         copies[2];
    trl_channel_t       channels[2];
    uint8_t             sealed[TRL_AEAD_LIMIT + 1];
    uint8_t             opened[256];        /* by the number of the record */
} session_t;


static uint8_t  record[2 * UNIT_BUFFER];




static void
session_new(session_t *s, unsigned aead)
{
    int  i;

    memset(s, 0, sizeof(session_t));

    unit_pair(&s->pair, TRL_DTLSv1_2, aead);

    for (i = 0; i < 2; i++) {
        s->copies[i] = s->pair.state;
        must(trl_channel_init(&s->channels[i], &s->copies[i]) == TRL_OK);
    }
}


static void
session_done(session_t *s)
{
    trl_channel_done(&s->channels[0]);
    trl_channel_done(&s->channels[1]);
    unit_pair_done(&s->pair);
}


/* expected: the content of the record, if it is from the peer */

static void
session_open(session_t *s, trl_channel_t *ch, size_t len,
    const uint8_t *expected, size_t size)
{
    int             rc;
    trl_datagram_t  d;

    if (trl_datagram_open(ch, record, len, &d) != TRL_OK) {
        must(expected == NULL);
        return;
    }

    must(d.data >= record && d.data + d.len <= record + len);

    rc = trl_window_mark(&s->pair.state.u.tls12.window, d.number);

    must(d.number < sizeof(s->opened));
    must(rc == -1 || !s->opened[d.number]);
    s->opened[d.number] = 1;

    if (rc == -1) {
        return;
    }

    rc = trl_datagram_read(ch, &d);

    must(rc == TRL_OK || rc == TRL_FOREIGN || rc == TRL_CLOSED
         || rc == TRL_ERROR);
    must(rc != TRL_CLOSED || ch->state->read_closed);

    if (rc == TRL_OK && d.len && expected) {
        must(d.len == size && memcmp(d.data, expected, size) == 0);
    }
}


/* The peer opens what was sealed. */

static void
session_check(session_t *s, ssize_t len)
{
    ssize_t    n;
    uint8_t   *p, *plain;
    unsigned   type;
    uint64_t   number;

    for (p = record; len > 0; p += n, len -= n) {
        n = trl_datagram_size(p);
        must(n > 0 && n <= len);

        must(trl_record_open(&s->pair.read, p, (size_t) n, &type, &plain)
             != -1);

        number = trl_epoch_number(s->pair.peer.read.seq - 1);

        must(number < TRL_AEAD_LIMIT && !s->sealed[number]);
        s->sealed[number] = 1;
    }
}


static void
session_seal(session_t *s, trl_channel_t *ch, unsigned op, const uint8_t *p,
    size_t len)
{
    ssize_t       n;
    unsigned      needs;
    struct iovec  iov;

    iov.iov_base = (void *) p;
    iov.iov_len = len;

    needs = trl_datagram_needs(ch);

    /* as the table does it */

    if (trl_epoch_number(s->pair.state.write.seq) + needs
        <= trl_state_limit(&s->pair.state))
    {
        trl_datagram_reserve(ch, s->pair.state.write.seq, needs);
        s->pair.state.write.seq += needs;
    }

    n = (op == 0) ? trl_channel_seal(ch, &iov, 1, record)
        : (op == 1) ? trl_channel_answer(ch, record)
                    : trl_channel_alert(ch, TRL_CLOSE_NOTIFY, record);

    must(n <= (ssize_t) (len + TRL_CHANNEL_OVERHEAD));

    session_check(s, n);

    ch->state->write_closed = 0;
}


static size_t
session_op(session_t *s, const uint8_t *input, size_t size)
{
    size_t          n, len;
    const uint8_t  *p;
    trl_channel_t  *ch;

    if (size < 3) {
        return size;
    }

    ch = &s->channels[input[0] / OPS % 2];
    len = (size_t) input[1] << 8 | input[2];
    p = input + 3;
    size -= 3;

    if (len > size) {
        len = size;
    }

    switch (input[0] % OPS) {

    case 0:  /* any bytes */
        memcpy(record, p, len);
        session_open(s, ch, len, NULL, 0);
        break;

    case 1:  /* a record with any content */
    case 2:  /* again */

        if (trl_epoch_number(s->pair.peer.write.seq) >= sizeof(s->opened)) {
            break;
        }

        n = unit_seal(&s->pair, TRL_ALERT + len % 3, p, len, record);

        if (input[0] % OPS == 2) {
            memcpy(record + UNIT_BUFFER, record, n);
            session_open(s, ch, n, p, len);
            memcpy(record, record + UNIT_BUFFER, n);
        }

        session_open(s, ch, n, p, len);
        break;

    default:
        session_seal(s, ch, input[0] % OPS - 3, p, len);
        break;
    }

    return 3 + len;
}


int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t            n;
    static session_t  s;

    if (size == 0) {
        return 0;
    }

    session_new(&s, 1 + input[0] % UNIT_LAST_AEAD);

    for (input++, size--; size; input += n, size -= n) {
        n = session_op(&s, input, size);
    }

    session_done(&s);

    return 0;
}


#ifndef FUZZ_ENGINE

int
main(int argc, char **argv)
{
    fuzz_operations((argc > 1) ? atol(argv[1]) : 1);

    trl_cipher_cleanup();

    return 0;
}

#endif
