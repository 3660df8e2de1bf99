
/*
 * Messages of any sender: one that sends bytes, and one that has the key and
 * sends records with any content.  What is opened is what was sealed.
 *
 * Input: a byte for the record size, the header, then records, each with a byte
 * for the kind, a length (two bytes) and this many bytes, if available.
 *
 * Without FUZZ_ENGINE: main() with random input, a given number of times.
 */


#include "unit.h"


#define MAX  4096

#ifndef FUZZ_ENGINE
#define FUZZ_INPUT  1024
#endif


int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);


static void
header(const uint8_t *input, size_t size)
{
    size_t            n;
    uint8_t           copy[TRL_ECE_HEADER + TRL_ECE_MAX_KEYID];
    uint64_t          number;
    trl_ece_header_t  h;

    n = trl_ece_header_read(&h, input, size);
    must(n <= size);

    if (n == 0) {
        must(size < sizeof(copy));
        return;
    }

    must(h.keyid + h.keyid_len == input + n);
    must(trl_ece_header_write(&h, copy) == n && memcmp(copy, input, n) == 0);

    (void) trl_message_number(h.keyid, h.keyid_len, &number);
}


static void
record(trl_ece_t *sealing, trl_ece_t *opening, unsigned kind,
    const uint8_t *input, size_t len)
{
    int      last, whole;
    ssize_t  n, rc;
    uint8_t  p[MAX + 16];

    memcpy(p, input, len);

    if (kind % 4 == 0) {

        /* any bytes: a forgery */

        last = opening->last;
        must(trl_ece_open(opening, p, len) == -1 && opening->last == last);
        return;
    }

    last = (kind % 4 == 1);

    n = trl_ece_seal(sealing, p, len, last);

    if (n == -1) {
        must(sealing->last || len + TRL_ECE_OVERHEAD > sealing->size);
        return;
    }

    must(n <= (ssize_t) sealing->size);
    must(last || n == (ssize_t) sealing->size);

    whole = (kind % 4 != 3);

    if (!whole) {
        p[len % (size_t) n] ^= (uint8_t) (kind | 1);
    }

    /* after a forgery, the numbers of records differ */

    rc = trl_ece_open(opening, p, (size_t) n);

    must(rc == -1 || (whole && rc == (ssize_t) len
                      && memcmp(p, input, len) == 0 && opening->last == last));
}


int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t     n;
    unsigned   kind;
    uint8_t    secret[TRL_MESSAGE_KEY];
    trl_ece_t  sealing, opening;

    header(input, size);

    if (size < TRL_ECE_HEADER) {
        return 0;
    }

    n = 18 + input[0] * 16;
    unit_fill(secret, sizeof(secret), 1);

    must(trl_ece_init(&sealing, secret, sizeof(secret), input, n, 1) == 0);
    must(trl_ece_init(&opening, secret, sizeof(secret), input, n, 0) == 0);

    input += TRL_ECE_HEADER;
    size -= TRL_ECE_HEADER;

    while (size >= 3) {
        kind = input[0];
        n = ((size_t) input[1] << 8 | input[2]) % (MAX - TRL_ECE_OVERHEAD + 1);

        input += 3;
        size -= 3;

        if (n > size) {
            n = size;
        }

        record(&sealing, &opening, kind, input, n);

        input += n;
        size -= n;
    }

    trl_ece_done(&sealing);
    trl_ece_done(&opening);

    return 0;
}


#ifndef FUZZ_ENGINE

int
main(int argc, char **argv)
{
    long      i, runs;
    size_t    j, len;
    unsigned  seed;

    static uint8_t  input[FUZZ_INPUT];

    runs = (argc > 1) ? atol(argv[1]) : 1000;
    seed = 1;

    for (i = 0; i < runs; i++) {
        seed = seed * 1103515245 + 12345;
        len = (seed >> 16) % FUZZ_INPUT;

        unit_fill(input, len, seed);

        /* mostly short records */

        for (j = TRL_ECE_HEADER + 1; j + 1 < len; j += 3 + input[j + 1]) {
            input[j] = 0;
        }

        (void) LLVMFuzzerTestOneInput(input, len);
    }

    return 0;
}

#endif
