
/*
 * Numbers and keys of messages.
 */


#include "unit.h"


static void
test_number(const char *text, int rc, uint64_t number)
{
    uint64_t  n;

    n = 0;

    ok(trl_message_number((const uint8_t *) text, strlen(text), &n) == rc
       && n == number,
       "number \"%s\"", text);
}


static void
test_numbers(void)
{
    test_number("0", 0, 0);
    test_number("7", 0, 7);
    test_number("18446744073709551615", 0, UINT64_MAX);
    test_number("18446744073709551616", -1, 0);
    test_number("99999999999999999999", -1, 0);
    test_number("100000000000000000000", -1, 0);
    test_number("", -1, 0);
    test_number("00", -1, 0);
    test_number("01", -1, 0);
    test_number("+1", -1, 0);
    test_number("-1", -1, 0);
    test_number("1 ", -1, 0);
    test_number("0x1", -1, 0);
    test_number("1.1", -1, 0);
}


static void
test_window(void)
{
    unsigned      i, wrong;
    trl_window_t  w;

    memset(&w, 0, sizeof(trl_window_t));

    ok(trl_window_mark(&w, 0) == 0 && trl_window_mark(&w, 0) == -1,
       "0 is a number");
    ok(trl_window_mark(&w, 1) == 0 && trl_window_mark(&w, 1) == -1, "1");
    ok(trl_window_mark(&w, 64) == 0 && trl_window_mark(&w, 0) == -1
       && trl_window_mark(&w, 1) == -1,
       "0 is below the window, 1 was used");
    ok(trl_window_mark(&w, 2) == 0 && trl_window_mark(&w, 2) == -1,
       "2 is in the window");

    wrong = 0;

    for (i = 3; i < 64; i++) {
        wrong += (trl_window_mark(&w, i) != 0);
    }

    for (i = 0; i <= 64; i++) {
        wrong += (trl_window_mark(&w, i) != -1);
    }

    ok(wrong == 0, "each number in the window once");

    ok(trl_window_mark(&w, 1000) == 0 && trl_window_mark(&w, 936) == -1
       && trl_window_mark(&w, 937) == 0 && trl_window_mark(&w, 937) == -1,
       "after a step of more than the window");

    ok(trl_window_mark(&w, UINT64_MAX) == 0
       && trl_window_mark(&w, UINT64_MAX) == -1
       && trl_window_mark(&w, 1000) == -1
       && trl_window_mark(&w, UINT64_MAX - 63) == 0
       && trl_window_mark(&w, UINT64_MAX - 64) == -1,
       "the largest number");
}


/*
 * Any order, compared with a list of all numbers.  "dies": sometimes, the
 * process that marks a number dies between the two words, and the number is not
 * processed.
 */

static void
test_random(unsigned dies)
{
    int           rc, inside;
    uint64_t      n, top, before;
    unsigned      i, twice, refused, seed;
    trl_window_t  w;
    uint8_t       used[4096];

    memset(&w, 0, sizeof(trl_window_t));
    memset(used, 0, sizeof(used));

    top = 0;
    twice = 0;
    refused = 0;
    seed = 1;

    for (i = 0; i < 20000; i++) {
        seed = seed * 1103515245 + 12345;
        n = top + (seed >> 16) % 96;
        n = (n < 80) ? n : n - 80;

        if (n >= sizeof(used)) {
            break;
        }

        inside = (n > top || top - n < 64);
        before = w.used;

        rc = trl_window_mark(&w, n);

        twice += (rc == 0 && (used[n] || !inside));
        refused += (rc == -1 && inside && !used[n]);

        top = w.top;

        if (dies && rc == 0 && seed % 5 == 0) {
            w.used = before;

        } else if (rc == 0) {
            used[n] = 1;
        }
    }

    ok(twice == 0 && (dies || refused == 0),
       "%u numbers in any order%s", i, dies ? ", with interruptions" : "");
}


static void
test_refused(void)
{
    unsigned     aead, wrong;
    trl_state_t  s;

    memset(&s, 0, sizeof(trl_state_t));

    s.extended_master = 1;
    wrong = 0;

    for (aead = TRL_AES_128_GCM; aead <= UNIT_LAST_AEAD; aead++) {
        s.aead = (uint8_t) aead;
        wrong += ((trl_message_refused(&s) != NULL)
                  != (aead == TRL_AES_128_CCM_8 || aead == TRL_AES_256_CCM_8));
    }

    ok(wrong == 0, "suites with short tags are refused");

    s.aead = TRL_AES_256_GCM;
    s.extended_master = 0;

    ok(trl_message_refused(&s) != NULL, "so is no extended master secret");
}


/* Each kind and number has another key, the one that is exported. */

static void
test_keys(unsigned protocol)
{
    uint8_t      a[32], b[32], c[32], d[32];
    unit_pair_t  p;

    unit_pair(&p, protocol, TRL_AES_128_GCM);

    must(trl_message_key(&p.state, TRL_MESSAGE_REQUEST, 0x0102, a) == 0);
    must(trl_message_key(&p.state, TRL_MESSAGE_RESPONSE, 0x0102, b) == 0);
    must(trl_message_key(&p.state, TRL_MESSAGE_REQUEST, 0x0103, c) == 0);
    must(trl_export(&p.state, "application-layer-tls", 21,
                    (const uint8_t *) "\1\0\0\0\0\0\0\1\2", 9, d, 32)
         == 0);

    ok(memcmp(a, d, 32) == 0 && memcmp(a, b, 32) != 0 && memcmp(a, c, 32) != 0
       && memcmp(b, c, 32) != 0,
       "keys, %s", unit_protocol_name(protocol));

    unit_pair_done(&p);
}


int
main(void)
{
    test_numbers();
    test_window();
    test_random(0);
    test_random(1);
    test_refused();
    test_keys(TRL_TLSv1_2);
    test_keys(TRL_TLSv1_3);

    trl_cipher_cleanup();
    trl_hash_cleanup();

    return tap_done();
}
