
/*
 * The content coding aes128gcm: the examples of RFC 8188, section 3, and
 * messages that are invalid.
 */


#define TRL_AEAD_LIMIT   8

#include "unit.h"


#define SIZE  64


/* section 3.1, decoded */

static const uint8_t  ikm_one[] = {
    0xca, 0xa7, 0x65, 0x67, 0xeb, 0x58, 0x7a, 0x67, 0xe8, 0x81, 0x29, 0xaf,
    0xed, 0x6b, 0x39, 0x3d
};

static const uint8_t  message_one[] = {
    0x23, 0x50, 0x6c, 0xc6, 0xd1, 0x6d, 0xb6, 0x5b, 0xf7, 0xbb, 0xf3, 0xa8,
    0xf7, 0x8c, 0x67, 0x9b, 0x00, 0x00, 0x10, 0x00, 0x00, 0xf8, 0xd0, 0x15,
    0xb9, 0xbd, 0xaa, 0x16, 0x00, 0x44, 0xb9, 0x02, 0x91, 0x6a, 0x9a, 0x19,
    0xbb, 0xe2, 0x31, 0x90, 0x8b, 0xda, 0xdc, 0xc1, 0x01, 0xd4, 0xf0, 0xfe,
    0x97, 0x2f, 0x13, 0x86, 0x38
};

/* section 3.2 */

static const uint8_t  ikm_two[] = {
    0x04, 0xed, 0xd9, 0x54, 0xfc, 0x54, 0x96, 0x72, 0xce, 0x45, 0xb5, 0x46,
    0x32, 0x96, 0xd3, 0xd5
};

static const uint8_t  message_two[] = {
    0xb8, 0xd0, 0xa4, 0x5a, 0x23, 0x58, 0xcc, 0xa4, 0xe7, 0x04, 0xdf, 0x63,
    0x8b, 0x7f, 0xaa, 0x58, 0x00, 0x00, 0x00, 0x19, 0x02, 0x61, 0x31, 0xce,
    0x1b, 0xc7, 0x21, 0xcf, 0xf8, 0x27, 0xbe, 0x03, 0xaa, 0x74, 0x66, 0x28,
    0xbf, 0x1c, 0xa3, 0xba, 0xa4, 0x72, 0x24, 0x58, 0xc4, 0x0f, 0x2a, 0x05,
    0xd4, 0x5b, 0xe4, 0x8f, 0xa8, 0x50, 0x3d, 0xd3, 0xc7, 0x23, 0x9d, 0x4e,
    0x11, 0x42, 0x84, 0xa6, 0x0c, 0xf7, 0x4a, 0xc2, 0xd6, 0x22, 0xa4, 0xbf,
    0xb8
};

static const char  walrus[] = "I am the walrus";

static const uint8_t  salt[TRL_ECE_SALT] = "salt";
static const uint8_t  secret[TRL_MESSAGE_KEY] = "secret";

static trl_ece_t      sealing;
static trl_ece_t      opening;
static uint8_t        record[SIZE];


static void
test_example(const char *name, const uint8_t *ikm, const uint8_t *message,
    size_t len, uint32_t size, const char *keyid, size_t first)
{
    size_t            n, got;
    ssize_t           rc;
    uint8_t           copy[128], plain[64], *p;
    trl_ece_header_t  header;

    memcpy(copy, message, len);

    n = trl_ece_header_read(&header, copy, len);

    ok(n == TRL_ECE_HEADER + strlen(keyid) && header.size == size
       && header.keyid_len == strlen(keyid)
       && memcmp(header.keyid, keyid, header.keyid_len) == 0,
       "%s: header", name);

    must(trl_ece_init(&opening, ikm, 16, header.salt, header.size, 0) == 0);

    got = 0;
    rc = 0;

    for (p = copy + n; p < copy + len && rc >= 0; p += n) {
        n = (size_t) (copy + len - p) < size ? (size_t) (copy + len - p) : size;
        rc = trl_ece_open(&opening, p, n);

        if (rc > 0) {
            memcpy(plain + got, p, (size_t) rc);
            got += (size_t) rc;
        }
    }

    ok(opening.last && got == sizeof(walrus) - 1
       && memcmp(plain, walrus, got) == 0,
       "%s: opened", name);

    trl_ece_done(&opening);

    /* the same message again: the first record has one octet of padding */

    must(trl_ece_init(&sealing, ikm, 16, message, size, 1) == 0);

    header.salt = message;
    header.keyid = (const uint8_t *) keyid;

    n = trl_ece_header_write(&header, plain);
    got = (n == (size_t) (TRL_ECE_HEADER + strlen(keyid))
           && memcmp(plain, message, n) == 0);

    memcpy(copy, walrus, first);
    p = copy;

    if (first != sizeof(walrus) - 1) {
        rc = trl_ece_seal(&sealing, copy, first, 0);
        must(rc == (ssize_t) size);
        p += rc;
        memcpy(p, walrus + first, sizeof(walrus) - 1 - first);
    }

    rc = trl_ece_seal(&sealing, p, sizeof(walrus) - 1
                                   - (p == copy ? 0 : first), 1);
    must(rc > 0);

    ok(got && n + (size_t) (p + rc - copy) == len
       && memcmp(copy, message + n, len - n) == 0,
       "%s: sealed", name);

    trl_ece_done(&sealing);
}


static void
start(size_t size)
{
    must(trl_ece_init(&sealing, secret, sizeof(secret), salt, size, 1) == 0);
    must(trl_ece_init(&opening, secret, sizeof(secret), salt, size, 0) == 0);
}


static void
stop(void)
{
    trl_ece_done(&sealing);
    trl_ece_done(&opening);
}


/* A record with any plaintext: delimiter and padding are not added. */

static size_t
raw_record(const uint8_t *plain, size_t len)
{
    int  n;

    memcpy(record, plain, len);

    must(trl_ece_begin(&sealing) == 0);
    must(EVP_CipherUpdate(sealing.cipher.ctx, record, &n, record, (int) len)
         == 1);
    must(EVP_CipherFinal_ex(sealing.cipher.ctx, record + len, &n) == 1);
    must(EVP_CIPHER_CTX_ctrl(sealing.cipher.ctx, EVP_CTRL_AEAD_GET_TAG, 16,
                             record + len)
         == 1);

    return len + 16;
}


static void
test_padding(void)
{
    static const uint8_t  zeros[SIZE - 16];
    static const uint8_t  three[SIZE - 16] = "data\3";
    static const uint8_t  last[SIZE - 16] = "data\2";
    static const uint8_t  more[SIZE - 16] = "data\1";

    start(SIZE);
    ok(trl_ece_open(&opening, record, raw_record(more, SIZE - 16)) == 4
       && memcmp(record, "data", 4) == 0 && !opening.last,
       "padded record");
    ok(trl_ece_open(&opening, record, raw_record(last, SIZE - 16)) == 4
       && opening.last,
       "last record, padded to the full size");
    ok(trl_ece_open(&opening, record, raw_record(last, SIZE - 16)) == -1,
       "a record after the last one");
    stop();

    start(SIZE);
    ok(trl_ece_open(&opening, record, raw_record(zeros, SIZE - 16)) == -1,
       "zeros only");
    stop();

    start(SIZE);
    ok(trl_ece_open(&opening, record, raw_record(three, SIZE - 16)) == -1,
       "unknown delimiter");
    stop();

    start(SIZE);
    ok(trl_ece_open(&opening, record, raw_record(more, 5)) == -1,
       "a short record that is not the last one");
    stop();

    start(SIZE);
    ok(trl_ece_open(&opening, record, raw_record(last, 20)) == 4,
       "last record, padded to a part of the size");
    stop();

    start(SIZE);
    ok(trl_ece_open(&opening, record, raw_record(more, 0)) == -1,
       "no delimiter");
    stop();

    start(SIZE - 1);
    ok(trl_ece_open(&opening, record, raw_record(last, SIZE - 16)) == -1,
       "a record of more than the size");
    stop();
}


/* Seals three records with the contents "one", "two" and "three". */

static void
seal_three(uint8_t records[3][SIZE])
{
    memcpy(records[0], "one", 3);
    memcpy(records[1], "two", 3);
    memcpy(records[2], "three", 5);

    must(trl_ece_seal(&sealing, records[0], 3, 0) == SIZE);
    must(trl_ece_seal(&sealing, records[1], 3, 0) == SIZE);
    must(trl_ece_seal(&sealing, records[2], 5, 1) == 5 + TRL_ECE_OVERHEAD);
}


static void
test_order(void)
{
    uint8_t  records[3][SIZE];

    start(SIZE);
    seal_three(records);
    ok(trl_ece_open(&opening, records[0], SIZE) == 3
       && trl_ece_open(&opening, records[1], SIZE) == 3 && !opening.last
       && trl_ece_open(&opening, records[2], 5 + TRL_ECE_OVERHEAD) == 5
       && opening.last && memcmp(records[2], "three", 5) == 0,
       "three records");
    ok(trl_ece_seal(&sealing, record, 1, 0) == -1,
       "none is sealed after the last one");
    stop();

    start(SIZE);
    seal_three(records);
    ok(trl_ece_open(&opening, records[1], SIZE) == -1, "reordered records");
    stop();

    start(SIZE);
    seal_three(records);
    must(trl_ece_open(&opening, records[0], SIZE) == 3);
    ok(trl_ece_open(&opening, records[2], 5 + TRL_ECE_OVERHEAD) == -1,
       "removed record");
    stop();

    start(SIZE);
    seal_three(records);
    memcpy(record, records[0], SIZE);
    must(trl_ece_open(&opening, records[0], SIZE) == 3);
    ok(trl_ece_open(&opening, record, SIZE) == -1, "repeated record");
    stop();

    start(SIZE);
    seal_three(records);
    ok(trl_ece_open(&opening, records[0], SIZE - 1) == -1, "cut record");
    stop();

    start(SIZE);
    seal_three(records);
    records[0][7] ^= 1;
    ok(trl_ece_open(&opening, records[0], SIZE) == -1
       && ERR_peek_error() == 0,
       "changed record; the error queue is empty");
    stop();
}


static void
test_limits(void)
{
    int               i;
    size_t            n;
    uint8_t           message[TRL_ECE_HEADER + 3] = { 0 };
    trl_ece_header_t  header;

    ok(trl_ece_init(&sealing, secret, sizeof(secret), salt, 17, 1) == -1,
       "record size 17");
    ok(trl_ece_init(&sealing, secret, sizeof(secret), salt, 0, 1) == -1,
       "record size 0");

    start(TRL_ECE_MIN_SIZE);
    record[0] = 'x';
    ok(trl_ece_seal(&sealing, record, 1, 0) == TRL_ECE_MIN_SIZE
       && trl_ece_open(&opening, record, TRL_ECE_MIN_SIZE) == 1
       && record[0] == 'x',
       "record size 18");
    ok(trl_ece_seal(&sealing, record, 2, 0) == -1, "too much for a record");
    ok(trl_ece_seal(&sealing, record, 0, 1) == TRL_ECE_OVERHEAD
       && trl_ece_open(&opening, record, TRL_ECE_OVERHEAD) == 0
       && opening.last,
       "an empty last record");
    stop();

    start(SIZE);

    for (i = 0; i < TRL_AEAD_LIMIT; i++) {
        must(trl_ece_seal(&sealing, record, 1, 0) == SIZE);
        must(trl_ece_open(&opening, record, SIZE) == 1);
    }

    ok(trl_ece_seal(&sealing, record, 1, 1) == -1, "limit on records sealed");
    ok(trl_ece_open(&opening, record, SIZE) == -1, "limit on records opened");
    stop();

    message[20] = 3;

    for (n = 0; n < sizeof(message); n++) {
        if (trl_ece_header_read(&header, message, n) != 0) {
            break;
        }
    }

    ok(n == sizeof(message)
       && trl_ece_header_read(&header, message, n) == sizeof(message),
       "a header that is not complete");
}


int
main(void)
{
    test_example("3.1", ikm_one, message_one, sizeof(message_one), 4096, "",
                 sizeof(walrus) - 1);
    test_example("3.2", ikm_two, message_two, sizeof(message_two), 25, "a1", 7);

    test_padding();
    test_order();
    test_limits();

    trl_cipher_cleanup();
    trl_hash_cleanup();

    return tap_done();
}
