
/*
 * A channel and any peer: one that sends bytes, and one that has the keys and
 * sends records with any content.  Sealed records can always be opened, the
 * channel stops after an error, and the state can be moved at any time.
 *
 * Input: a byte for protocol and AEAD, then operations, each with a byte, a
 * length (two bytes) and this many bytes, if available.
 *
 * Without FUZZ_ENGINE: main() with random input, a given number of times.
 */


#define TRL_AEAD_LIMIT   8

#include "unit.h"


#define OPS  8

#ifndef FUZZ_ENGINE
#define FUZZ_INPUT  4096
#endif


static uint8_t  record[2 * UNIT_BUFFER];


int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);


/* If an open succeeds, it ends in whole, and data are inside the record. */

static void
channel_open(unit_pair_t *p, size_t len, const uint8_t *expected, size_t size)
{
    int       rc;
    size_t    n;
    uint8_t  *data;

    rc = trl_channel_open(&p->ch, record, len, &data, &n);

    must(rc == TRL_OK || rc == TRL_CLOSED || rc == TRL_ERROR);
    must((rc == TRL_ERROR) == (p->ch.error != NULL));
    must(rc == TRL_OK || n == 0);
    must(data >= record && data + n <= record + len);
    must(n <= TRL_MAX_PLAINTEXT);
    must(rc != TRL_CLOSED || p->state.read_closed);

    if (n) {
        /* data are always from the peer */
        must(expected != NULL && n <= size && memcmp(data, expected, n) == 0);
    }
}


static void
peer_update_write(unit_pair_t *p)
{
    if (p->state.protocol == TRL_TLSv1_3) {
        must(trl_state_update_write(&p->peer) == 0);
        trl_cipher_rekey(&p->write);
    }
}


/* The peer opens all sealed records. */

static void
peer_open(unit_pair_t *p, ssize_t len)
{
    size_t     n;
    ssize_t    rc;
    uint8_t   *pos, *data;
    unsigned   type;

    for (pos = record; len > 0; pos += n, len -= (ssize_t) n) {
        must(len >= TRL_HEADER_SIZE);

        n = TRL_HEADER_SIZE + ((size_t) pos[3] << 8 | pos[4]);
        must(n <= (size_t) len);

        rc = trl_record_open(&p->read, pos, n, &type, &data);
        must(rc >= 0);
        must(p->peer.read.seq <= TRL_AEAD_LIMIT);

        if (type == TRL_HANDSHAKE) {
            must(rc == 5);
            must(trl_state_update_read(&p->peer) == 0);
            trl_cipher_rekey(&p->read);
        }
    }
}


static void
operation(unit_pair_t *p, unsigned op, const uint8_t *input, size_t size)
{
    size_t        n;
    ssize_t       len;
    unsigned      type;
    trl_state_t   moved;
    struct iovec  iov;

    switch (op % OPS) {

    case 0:         /* unsealed bytes */
        memcpy(record, input, size);
        channel_open(p, size, NULL, 0);
        break;

    case 1:         /* a valid record with any type and content */
    case 2:
        if (size == 0) {
            break;
        }

        type = (op % OPS == 1) ? input[0] : 20 + input[0] % 5;
        n = unit_seal(p, type, input + 1, size - 1, record);
        channel_open(p, n, input + 1, size - 1);
        break;

    case 3:         /* the same with a byte changed */
        n = unit_seal(p, TRL_APPLICATION_DATA, input, size, record);

        if (size) {
            record[input[0] % n] ^= input[size - 1];

            /* possibly no change, or one of the version */
            channel_open(p, n, input, size);
        }

        break;

    case 4:         /* a KeyUpdate */
        n = unit_seal(p, TRL_HANDSHAKE, "\30\0\0\1\1", 5, record);
        channel_open(p, n, NULL, 0);
        peer_update_write(p);
        break;

    case 5:
        iov.iov_base = (void *) input;
        iov.iov_len = size;
        len = trl_channel_seal(&p->ch, &iov, 1, record);
        must(len <= (ssize_t) (size + TRL_CHANNEL_OVERHEAD));
        must(len != -1 || p->ch.error != NULL || p->state.write_closed);
        peer_open(p, len);
        break;

    case 6:
        len = trl_channel_answer(&p->ch, record);
        must(len <= TRL_CHANNEL_SHORT_RECORD);
        peer_open(p, len);

        if (size && input[0] == 0) {
            len = trl_channel_alert(&p->ch, p->ch.alert, record);
            must(len <= TRL_CHANNEL_SHORT_RECORD);
            must(p->state.write_closed);
            peer_open(p, len);
        }

        break;

    default:        /* the state is moved to another process */
        if (p->ch.error == NULL) {
            unit_move(&p->ch, &moved);
            unit_move(&p->ch, &p->state);
        }

        break;
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t       n;
    unsigned     op, protocol, aead;
    unit_pair_t  p;

    if (size == 0) {
        return 0;
    }

    protocol = (input[0] & 0x80) ? TRL_TLSv1_2 : TRL_TLSv1_3;
    aead = TRL_AES_128_GCM + (input[0] & 0x7f) % UNIT_LAST_AEAD;

    unit_pair(&p, protocol, aead);

    input++;
    size--;

    while (size >= 3) {
        op = input[0];
        n = ((size_t) input[1] << 8 | input[2]) % (TRL_MAX_PLAINTEXT + 1);

        input += 3;
        size -= 3;

        if (n > size) {
            n = size;
        }

        operation(&p, op, input, n);

        input += n;
        size -= n;
    }

    unit_pair_done(&p);

    return 0;
}


#ifndef FUZZ_ENGINE

static uint64_t
next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;

    return *seed;
}


/* Mostly short operations, so that others follow. */

int
main(int argc, char **argv)
{
    long      i, runs;
    size_t    j, n, len;
    uint64_t  seed;

    static uint8_t  input[FUZZ_INPUT];

    runs = (argc > 1) ? atol(argv[1]) : 1000;
    seed = 88172645463325252;

    for (i = 0; i < runs; i++) {
        len = next(&seed) % FUZZ_INPUT;

        for (j = 0; j < len; j++) {
            input[j] = (uint8_t) next(&seed);
        }

        for (j = 1; j + 3 <= len; j += 3 + n) {
            n = next(&seed) % ((next(&seed) % 8) ? 16 : FUZZ_INPUT);
            input[j + 1] = (uint8_t) (n >> 8);
            input[j + 2] = (uint8_t) n;
        }

        (void) LLVMFuzzerTestOneInput(input, len);
    }

    return 0;
}

#endif
