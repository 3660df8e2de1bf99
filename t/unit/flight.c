
/*
 * Records of a DTLS handshake: which of them are passed to OpenSSL.
 */


#include "unit.h"


static uint8_t       record[TRL_DATAGRAM_HEADER + 100];
static trl_flight_t  flight;
static trl_watch_t   watch;


static size_t
put_record(unsigned type, unsigned epoch, size_t len)
{
    memset(record, 0, sizeof(record));

    record[0] = (uint8_t) type;
    record[1] = 0xfe;
    record[2] = 0xfd;
    record[3] = (uint8_t) (epoch >> 8);
    record[4] = (uint8_t) epoch;
    record[12] = (uint8_t) len;

    return TRL_DATAGRAM_HEADER + len;
}


static uint8_t *
put(uint8_t *p, unsigned value, int bytes)
{
    while (bytes--) {
        *p++ = (uint8_t) (value >> 8 * bytes);
    }

    return p;
}


/* A fragment of a message at p; returns its end. */

static uint8_t *
put_fragment(uint8_t *p, unsigned len, unsigned number, unsigned offset,
    unsigned fragment)
{
    p = put(p, 16, 1);
    p = put(p, len, 3);
    p = put(p, number, 2);
    p = put(p, offset, 3);
    p = put(p, fragment, 3);

    return p + fragment;
}


static trl_flight_e
check(unsigned type, unsigned epoch, size_t len)
{
    size_t  size;

    size = put_record(type, epoch, len);

    return trl_flight_check(&flight, &watch, record, size);
}


static trl_flight_e
check_message(unsigned len, unsigned number, unsigned offset, unsigned fragment)
{
    size_t  size;

    size = put_record(TRL_HANDSHAKE, 0, 12 + fragment);
    put_fragment(record + TRL_DATAGRAM_HEADER, len, number, offset, fragment);

    return trl_flight_check(&flight, &watch, record, size);
}


static trl_flight_e
check_two(unsigned first, unsigned second, unsigned more)
{
    size_t    size;
    uint8_t  *p;

    size = put_record(TRL_HANDSHAKE, 0, 12 + 8 + 12 + 8 + more);
    p = put_fragment(record + TRL_DATAGRAM_HEADER, 8, first, 0, 8);
    put_fragment(p, 8, second, 0, 8);

    return trl_flight_check(&flight, &watch, record, size);
}


static void
test_first(void)
{
    ok(check_message(200, 0, 0, 50) == trl_flight_needed, "ClientHello");
    ok(check_message(200, 0, 50, 50) == trl_flight_needed, "its next fragment");
    ok(check_message(0xffffff, 0, 50, 50) == trl_flight_needed,
       "a long one: OpenSSL has a limit for it");
    ok(check_message(8, 1, 0, 8) == trl_flight_useless, "another message");
    ok(check(TRL_APPLICATION_DATA, 1, 40) == trl_flight_again, "data");
}


static void
test_flight(void)
{
    watch.messages = 1;
    flight.answered = 1;

    ok(check_message(200, 0, 50, 50) == trl_flight_again, "ClientHello again");
    ok(check_message(100000, 1, 0, 50) == trl_flight_needed, "next message");
    ok(check_message(16384, 2, 0, 50) == trl_flight_needed, "later message");
    ok(check_message(16385, 2, 0, 50) == trl_flight_useless, "a long one");
    ok(check_message(8, 3, 0, 8) == trl_flight_needed, "last message");
    ok(check_message(8, 4, 0, 8) == trl_flight_useless, "none follows");
    ok(check_message(0, 1, 0, 0) == trl_flight_needed, "empty message");

    watch.messages = 2;

    ok(check_message(100000, 1, 0, 50) == trl_flight_needed,
       "a message that was received, of the same flight");
    ok(check(TRL_CHANGE_CIPHER_SPEC, 0, 1) == trl_flight_needed,
       "ChangeCipherSpec");
    ok(check(TRL_ALERT, 0, 2) == trl_flight_alert, "alert");
    ok(check(TRL_ALERT, 0, 1) == trl_flight_useless, "half of one");
    ok(check(TRL_ALERT, 0, 4) == trl_flight_useless, "two of them");
}


static void
test_messages(void)
{
    ok(check_two(1, 2, 0) == trl_flight_needed, "two messages");
    ok(check_two(0, 1, 0) == trl_flight_again, "the first one is older");
    ok(check_two(1, 4, 0) == trl_flight_useless, "the second one is useless");
    ok(check_two(1, 2, 1) == trl_flight_useless, "a byte after it");
    ok(check_two(1, 2, 11) == trl_flight_useless, "11 bytes after it");
    ok(check_two(1, 2, 12) == trl_flight_again, "12 bytes after it: number 0");
}


static void
test_invalid(void)
{
    size_t  n, size, valid;

    ok(check_message(50, 2, 1, 50) == trl_flight_useless,
       "end after that of the message");
    ok(check_message(0xffffff, 2, 0xffffff, 50) == trl_flight_useless,
       "largest offset");

    valid = 0;

    for (n = 0; n < 12 + 50; n++) {
        size = put_record(TRL_HANDSHAKE, 0, n);
        put_fragment(record + TRL_DATAGRAM_HEADER, 50, 2, 0, 50);

        valid += trl_flight_check(&flight, &watch, record, size)
                 != trl_flight_useless;
    }

    ok(valid == 0, "end before that of the fragment");
}


static void
test_epochs(void)
{
    ok(check(TRL_HANDSHAKE, 1, 40) == trl_flight_needed, "Finished, early");
    ok(check(TRL_ALERT, 1, 26) == trl_flight_needed, "another record");
    ok(check(TRL_HANDSHAKE, 1, 40) == trl_flight_useless, "no more of them");

    watch.changed = 1;

    ok(check(TRL_HANDSHAKE, 1, 40) == trl_flight_needed,
       "Finished after ChangeCipherSpec");
    ok(check(TRL_HANDSHAKE, 2, 40) == trl_flight_useless, "epoch 2");
    ok(check(TRL_HANDSHAKE, 0x101, 40) == trl_flight_useless, "epoch 257");
    ok(check(TRL_APPLICATION_DATA, 1, 40) == trl_flight_again, "data");
}


int
main(void)
{
    test_first();
    test_flight();
    test_messages();
    test_invalid();
    test_epochs();

    return tap_done();
}
