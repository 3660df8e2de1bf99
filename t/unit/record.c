
/*
 * Record protection: RFC 8448, all AEADs, all bits inverted.
 */


#include "unit.h"


static size_t
unhex(const char *hex, uint8_t *out)
{
    size_t    n;
    unsigned  byte;

    for (n = 0; *hex; ) {
        if (*hex == ' ') {
            hex++;
            continue;
        }

        must(sscanf(hex, "%2x", &byte) == 1);
        out[n++] = (uint8_t) byte;
        hex += 2;
    }

    return n;
}


/* RFC 8448, section 3, Simple 1-RTT Handshake */

typedef struct {
    const char  *secret;
    const char  *key;
    const char  *iv;
    uint64_t     seq;     /* after one NewSessionTicket of the server */
    const char  *data;
    const char  *alert;
} trace_t;


static const trace_t  traces[] = {
    { "9e40646ce79a7f9dc05af8889bce6552"
      "875afa0b06df0087f792ebb7c17504a5",
      "17422dda596ed5d9acd890e3c63f5051",
      "5b78923dee08579033e523d9",
      0,
      "17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe"
      "82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab 3f"
      "2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b"
      "62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d ea e6"
      "3a ee bb 21 69 49 15 e4",
      "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1"
      "15 3e fd 6d b6 d0 b0 e3" },

    { "a11af9f05531f856ad47116b45a95032"
      "8204b4f44bfb6b3a4b4f1f3fcb631643",
      "9f02283b6c9c07efc26bb9f2ac92e356",
      "cf782b88dd83549aadf1e984",
      1,
      "17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad"
      "36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa 1b 36"
      "e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8"
      "fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3 32 54"
      "0d d0 32 e1 67 c2 95 5d",
      "17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20"
      "cf be 7e fa 7a 88 64 a9" }
};


static uint8_t  trace_data[50];


static void
trace_opened(const trace_t *trace, const char *who, trl_state_t *state,
    unsigned alert)
{
    size_t        len;
    ssize_t       n;
    uint8_t       record[256], *plain;
    unsigned      type;
    trl_cipher_t  c;

    len = unhex(alert ? trace->alert : trace->data, record);

    must(trl_cipher_init(&c, TRL_TLSv1_3, TRL_AES_128_GCM, &state->read, 0)
         == 0);

    state->read.seq = trace->seq + alert;

    n = trl_record_open(&c, record, len, &type, &plain);
    trl_cipher_done(&c);

    if (alert) {
        ok(n == 2 && type == TRL_ALERT && memcmp(plain, "\1\0", 2) == 0,
           "RFC 8448: %s's alert opened", who);
    } else {
        ok(n == 50 && type == TRL_APPLICATION_DATA
           && memcmp(plain, trace_data, 50) == 0,
           "RFC 8448: %s's data opened", who);
    }
}


static void
trace_sealed(const trace_t *trace, const char *who, trl_state_t *state,
    unsigned alert)
{
    size_t        len;
    ssize_t       n;
    uint8_t       record[256], wire[256];
    trl_cipher_t  c;
    struct iovec  iov;

    len = unhex(alert ? trace->alert : trace->data, wire);

    must(trl_cipher_init(&c, TRL_TLSv1_3, TRL_AES_128_GCM, &state->read, 1)
         == 0);

    state->read.seq = trace->seq + alert;

    iov.iov_base = alert ? (void *) "\1\0" : trace_data;
    iov.iov_len = alert ? 2 : 50;

    n = trl_record_seal(&c, alert ? TRL_ALERT : TRL_APPLICATION_DATA, &iov, 1,
                        record);
    trl_cipher_done(&c);

    ok((size_t) n == len && memcmp(record, wire, len) == 0,
       "RFC 8448: %s's %s sealed", who, alert ? "alert" : "data");
}


static void
test_rfc8448(void)
{
    size_t       i, len;
    uint8_t      expected[256];
    unsigned     alert;
    const char  *who;
    trl_state_t  state;

    for (i = 0; i < 50; i++) {
        trace_data[i] = (uint8_t) i;
    }

    for (i = 0; i < 2; i++) {
        who = i ? "server" : "client";

        memset(&state, 0, sizeof(state));
        state.protocol = TRL_TLSv1_3;
        state.aead = TRL_AES_128_GCM;

        unhex(traces[i].secret, state.u.tls13.read_secret);
        must(trl_traffic_key(&state, state.u.tls13.read_secret, &state.read)
             == 0);

        len = unhex(traces[i].key, expected);
        ok(memcmp(state.read.key, expected, len) == 0,
           "RFC 8448: %s's key", who);

        len = unhex(traces[i].iv, expected);
        ok(memcmp(state.read.iv, expected, len) == 0,
           "RFC 8448: %s's IV", who);

        for (alert = 0; alert < 2; alert++) {
            trace_opened(&traces[i], who, &state, alert);
            trace_sealed(&traces[i], who, &state, alert);
        }
    }
}


/* Sealed from pieces and opened at once, with any size, one after another. */

static void
test_sizes(unsigned protocol, unsigned aead)
{
    int            failed;
    size_t         i, n, len;
    ssize_t        rc;
    uint8_t       *plain;
    unsigned       type;
    unit_pair_t    p;
    struct iovec   iov[4];

    static uint8_t       data[TRL_MAX_PLAINTEXT], out[UNIT_BUFFER];
    static const size_t  sizes[] = { 0, 1, 2, 15, 16, 17, 255, 4096, 16383,
                                     TRL_MAX_PLAINTEXT };

    unit_fill(data, sizeof(data), 7);
    unit_pair(&p, protocol, aead);
    failed = 0;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        n = sizes[i];

        iov[0].iov_base = NULL;
        iov[0].iov_len = 0;
        iov[1].iov_base = data;
        iov[1].iov_len = n / 3;
        iov[2].iov_base = data + n / 3;
        iov[2].iov_len = (n > 2) ? 1 : 0;
        iov[3].iov_base = data + iov[1].iov_len + iov[2].iov_len;
        iov[3].iov_len = n - iov[1].iov_len - iov[2].iov_len;

        memset(out, 0xee, sizeof(out));

        rc = trl_record_seal(&p.write, TRL_APPLICATION_DATA, iov, 4, out);
        len = 5 + n + trl_aead_tag_size(aead)
              + ((protocol == TRL_TLSv1_3) ? 1
                 : (aead == TRL_CHACHA20_POLY1305) ? 0 : 8);

        failed |= (rc != (ssize_t) len || out[len] != 0xee
                   || len > n + TRL_RECORD_OVERHEAD);

        rc = trl_record_open(&p.ch.read, out, len, &type, &plain);

        failed |= (rc != (ssize_t) n || type != TRL_APPLICATION_DATA
                   || memcmp(plain, data, n) != 0);
    }

    ok(!failed, "%s %s: sizes", unit_protocol_name(protocol),
       unit_aead_name(aead));

    iov[0].iov_base = data;
    iov[0].iov_len = TRL_MAX_PLAINTEXT;
    iov[1].iov_len = 1;

    ok(trl_record_seal(&p.write, TRL_APPLICATION_DATA, iov, 2, out) == -1,
       "%s %s: too much refused", unit_protocol_name(protocol),
       unit_aead_name(aead));

    iov[1].iov_len = SIZE_MAX;

    ok(trl_record_seal(&p.write, TRL_APPLICATION_DATA, iov, 2, out) == -1,
       "%s %s: overflow of lengths refused", unit_protocol_name(protocol),
       unit_aead_name(aead));

    unit_pair_done(&p);
}


/* Changed and missing bytes of a record are detected. */

static void
test_forgery(unsigned protocol, unsigned aead)
{
    int          header, opened;
    size_t       i, len;
    uint8_t      record[128], copy[128], *plain;
    unsigned     type, bit;
    unit_pair_t  p;

    unit_pair(&p, protocol, aead);

    len = unit_seal(&p, TRL_APPLICATION_DATA, "some plaintext", 14, record);
    opened = 0;

    for (i = 0; i < len; i++) {
        for (bit = 0; bit < 8; bit++) {

            memcpy(copy, record, len);
            copy[i] ^= (uint8_t) (1 << bit);

            /* with TLS 1.2, the length is implied by the record */

            header = (protocol == TRL_TLSv1_2 && (i == 3 || i == 4));

            if (trl_record_open(&p.ch.read, copy, len, &type, &plain) != -1) {
                opened += header ? 0 : 1;
                p.state.read.seq--;
            }
        }
    }

    ok(opened == 0, "%s %s: any bit flipped", unit_protocol_name(protocol),
       unit_aead_name(aead));

    for (i = 0; i < len; i++) {
        memcpy(copy, record, len);

        if (trl_record_open(&p.ch.read, copy, i, &type, &plain) != -1) {
            opened++;
        }
    }

    ok(opened == 0, "%s %s: truncated anywhere", unit_protocol_name(protocol),
       unit_aead_name(aead));

    p.state.read.seq++;
    memcpy(copy, record, len);

    ok(trl_record_open(&p.ch.read, copy, len, &type, &plain) == -1,
       "%s %s: another sequence number", unit_protocol_name(protocol),
       unit_aead_name(aead));

    ok(ERR_peek_error() == 0, "%s %s: nothing left in the error queue",
       unit_protocol_name(protocol), unit_aead_name(aead));

    p.state.read.seq--;
    memcpy(copy, record, len);

    ok(trl_record_open(&p.ch.read, copy, len, &type, &plain) == 14,
       "%s %s: and it is good", unit_protocol_name(protocol),
       unit_aead_name(aead));

    unit_pair_done(&p);
}


/* The last sequence numbers, and all of the 64 bits. */

static void
test_sequence(unsigned protocol, unsigned aead)
{
    size_t        i, len;
    ssize_t       n;
    uint8_t       record[128], *plain;
    unsigned      type;
    unit_pair_t   p;
    struct iovec  iov;

    static const uint64_t  seqs[] = {
        0xff, 0x100, 0x1020304050607080, UINT64_MAX - 1
    };

    unit_pair(&p, protocol, aead);

    for (i = 0; i < 4; i++) {
        p.state.read.seq = seqs[i];
        p.peer.write.seq = seqs[i];

        len = unit_seal(&p, TRL_APPLICATION_DATA, "text", 4, record);
        n = trl_record_open(&p.ch.read, record, len, &type, &plain);

        ok(n == 4 && p.state.read.seq == seqs[i] + 1
           && p.peer.write.seq == seqs[i] + 1,
           "%s %s: sequence number %llx", unit_protocol_name(protocol),
           unit_aead_name(aead), (unsigned long long) seqs[i]);
    }

    iov.iov_base = record;
    iov.iov_len = 1;

    ok(trl_record_seal(&p.write, TRL_APPLICATION_DATA, &iov, 1, record) == -1
       && p.peer.write.seq == UINT64_MAX,
       "%s %s: sealing does not wrap", unit_protocol_name(protocol),
       unit_aead_name(aead));

    /* a record that is valid except for its number */

    if (aead == TRL_AES_128_GCM) {
        len = unit_raw_seal(&p.peer.write, protocol, 16,
                            TRL_APPLICATION_DATA, 0x0303, "text\x17", 5,
                            record);

        ok(trl_record_open(&p.ch.read, record, len, &type, &plain) == -1
           && p.state.read.seq == UINT64_MAX,
           "%s: opening does not wrap", unit_protocol_name(protocol));
    }

    unit_pair_done(&p);
}


/* Comparison with AES-GCM by its definition. */

static void
test_raw(unsigned protocol, unsigned aead)
{
    size_t       i, n, m, inner;
    uint8_t      data[100], ours[200], theirs[200];
    unit_pair_t  p;
    trl_key_t    key;

    unit_pair(&p, protocol, aead);
    unit_fill(data, sizeof(data), 8);

    for (i = 0; i < 3; i++) {
        key = p.peer.write;

        n = unit_seal(&p, TRL_APPLICATION_DATA, data, 99, ours);

        inner = (protocol == TRL_TLSv1_3) ? 100 : 99;
        data[99] = TRL_APPLICATION_DATA;

        m = unit_raw_seal(&key, protocol, trl_aead_key_size(aead),
                          TRL_APPLICATION_DATA, 0x0303, data, inner, theirs);

        ok(n == m && memcmp(ours, theirs, n) == 0,
           "%s %s: the same as spelled out", unit_protocol_name(protocol),
           unit_aead_name(aead));
    }

    unit_pair_done(&p);
}


static void
test_sizes_of_aeads(void)
{
    trl_key_t     key;
    trl_cipher_t  c;

    memset(&key, 0, sizeof(key));

    ok(trl_aead_key_size(0) == 0
       && trl_aead_key_size(UNIT_LAST_AEAD + 1) == 0
       && trl_aead_limit(UNIT_LAST_AEAD + 1) == 0
       && trl_aead_tag_size(99) == 0
       && trl_aead_iv_size(0, TRL_TLSv1_3) == 0,
       "no AEAD has no sizes");

    ok(trl_aead_iv_size(TRL_AES_128_CCM_8, TRL_TLSv1_2) == 4
       && trl_aead_iv_size(TRL_CHACHA20_POLY1305, TRL_TLSv1_2) == 12
       && trl_aead_iv_size(TRL_AES_128_GCM, TRL_TLSv1_3) == 12,
       "sizes of IVs");

    ok(trl_aead_limit(TRL_AES_256_GCM) == 1 << 23
       && trl_aead_limit(TRL_CHACHA20_POLY1305) > (uint64_t) 1 << 62,
       "limits");

    ok(trl_cipher_init(&c, TRL_TLSv1_3, 0, &key, 1) == -1
       && trl_cipher_init(&c, TRL_TLSv1_3, UNIT_LAST_AEAD + 1, &key, 1) == -1
       && trl_cipher_init(&c, 0x0302, TRL_AES_128_GCM, &key, 1) == -1,
       "no cipher without an AEAD or for another protocol");

    trl_cipher_done(&c);

    memset(&c, 0, sizeof(c));
    trl_cipher_done(&c);
}


/*
 * More sessions than contexts, each with its own key, in turns.  Contexts are
 * reused by other sessions after valid and invalid records, and after these
 * sessions were freed.
 */

static void
test_contexts(unsigned protocol, unsigned aead)
{
    int           bad, round;
    size_t        i;
    ssize_t       len;
    uint8_t       record[64], *plain;
    unsigned      type;
    trl_key_t     sealing[40], opening[40];
    struct iovec  iov;
    trl_cipher_t  in[40], out[40];

    bad = 0;

    for (i = 0; i < 40; i++) {
        unit_fill(&sealing[i], sizeof(trl_key_t), (unsigned) i);
        sealing[i].seq = 0;
        opening[i] = sealing[i];
    }

    for (round = 0; round < 4; round++) {

        for (i = 0; i < 40; i++) {
            must(trl_cipher_init(&out[i], protocol, aead, &sealing[i], 1)
                 == 0);
            must(trl_cipher_init(&in[i], protocol, aead, &opening[i], 0)
                 == 0);
        }

        for (i = 0; i < 40; i++) {
            iov.iov_base = &i;
            iov.iov_len = sizeof(i);

            len = trl_record_seal(&out[i], TRL_APPLICATION_DATA, &iov, 1,
                                  record);
            must(len > 0);

            bad += trl_record_open(&in[i], record, (size_t) len, &type,
                                   &plain)
                   != sizeof(i)
                   || memcmp(plain, &i, sizeof(i)) != 0;

            /* the context of the last session is not reused for this one */

            if (round == 1) {
                bad += trl_record_open(&in[i], record, (size_t) len, &type,
                                       &plain)
                       != -1;
            }
        }

        if (round == 2) {
            trl_cipher_trim();
        }

        /* not in the order of creation */

        for (i = 0; i < 40; i++) {
            trl_cipher_done(&in[i * 7 % 40]);
            trl_cipher_done(&out[i * 11 % 40]);
        }
    }

    ok(bad == 0, "%s: contexts change hands", unit_aead_name(aead));
}


int
main(void)
{
    unsigned  i, aead, protocol;

    test_rfc8448();
    test_sizes_of_aeads();

    for (i = 0; i < 2; i++) {
        protocol = i ? TRL_TLSv1_2 : TRL_TLSv1_3;

        for (aead = TRL_AES_128_GCM; aead <= UNIT_LAST_AEAD; aead++) {
            test_sizes(protocol, aead);
            test_forgery(protocol, aead);
            test_sequence(protocol, aead);
            test_contexts(protocol, aead);
        }

        test_raw(protocol, TRL_AES_128_GCM);
        test_raw(protocol, TRL_AES_256_GCM);
    }

    return tap_done();
}
