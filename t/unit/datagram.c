
/*
 * DTLS: sessions frozen from an SSL, with OpenSSL as the peer; records that are
 * lost, repeated, reordered or forged; numbers that are reserved.
 */


#include <openssl/bio.h>
#include <openssl/x509.h>

#include "unit.h"


#define BUFFER  40000

#define EPOCH   ((uint64_t) TRL_DATA_EPOCH << 48)


/* Records back to back. */

typedef struct {
    uint8_t             data[BUFFER];
    size_t              len;
} flight_t;


typedef struct {
    SSL                *server;
    SSL                *client;
    trl_watch_t         watch;
    trl_state_t         state;
    trl_channel_t       ch;
    uint64_t            next;               /* not reserved */
} conn_t;


static EVP_PKEY  *key;
static X509      *cert;
static uint8_t    psk[16];


static void
make_cert(void)
{
    X509_NAME  *name;

    key = EVP_EC_gen("P-256");
    cert = X509_new();
    name = X509_NAME_new();
    must(key != NULL && cert != NULL && name != NULL);

    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                    (const unsigned char *) "localhost", -1,
                                    -1, 0));
    must(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1));
    must(X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL);
    must(X509_gmtime_adj(X509_getm_notAfter(cert), 86400) != NULL);
    must(X509_set_subject_name(cert, name));
    must(X509_set_issuer_name(cert, name));
    must(X509_set_pubkey(cert, key));
    must(X509_sign(cert, key, EVP_sha256()) > 0);

    X509_NAME_free(name);
}


static unsigned
psk_server(SSL *ssl, const char *identity, unsigned char *p, unsigned max)
{
    (void) ssl;
    (void) identity;

    must(max >= sizeof(psk));
    memcpy(p, psk, sizeof(psk));

    return sizeof(psk);
}


static unsigned
psk_client(SSL *ssl, const char *hint, char *identity, unsigned max,
    unsigned char *p, unsigned psk_max)
{
    (void) hint;

    must(max > 2);
    strcpy(identity, "id");

    return psk_server(ssl, identity, p, psk_max);
}


/* OpenSSL sends no flight again, however long a step takes. */

static unsigned
no_timer(SSL *ssl, unsigned timer)
{
    (void) ssl;
    (void) timer;

    return 3600 * 1000000u;
}


static SSL *
make_ssl(int server, const char *suite)
{
    SSL      *ssl;
    BIO      *in, *out;
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(server ? DTLS_server_method() : DTLS_client_method());
    must(ctx != NULL);

    SSL_CTX_set_security_level(ctx, 0);         /* CCM-8 */
    must(SSL_CTX_set_cipher_list(ctx, suite));
    SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);

    if (server) {
        must(SSL_CTX_use_certificate(ctx, cert));
        must(SSL_CTX_use_PrivateKey(ctx, key));
        must(trl_watch_ctx(ctx) == 0);
        SSL_CTX_set_psk_server_callback(ctx, psk_server);

    } else {
        SSL_CTX_set_psk_client_callback(ctx, psk_client);
    }

    ssl = SSL_new(ctx);
    in = BIO_new(BIO_s_mem());
    out = BIO_new(BIO_s_mem());
    must(ssl != NULL && in != NULL && out != NULL);

    SSL_set_bio(ssl, in, out);
    must(SSL_set_mtu(ssl, 1232));
    DTLS_set_timer_cb(ssl, no_timer);

    SSL_CTX_free(ctx);

    return ssl;
}


/* Takes what an SSL has sent. */

static void
take(SSL *from, flight_t *flight)
{
    int  n;

    n = BIO_read(SSL_get_wbio(from), flight->data, BUFFER);
    flight->len = (n > 0) ? (size_t) n : 0;
}


/* Passes records one by one, as a memory BIO has no boundaries. */

static int
pass(flight_t *flight, SSL *to)
{
    int       rc;
    size_t    pos;
    ssize_t   n;

    rc = -1;

    for (pos = 0; pos < flight->len; pos += (size_t) n) {
        n = trl_datagram_size(flight->data + pos);
        must(n > 0 && pos + (size_t) n <= flight->len);

        must(BIO_write(SSL_get_rbio(to), flight->data + pos, (int) n) == n);
        rc = SSL_do_handshake(to);
    }

    return rc;
}


static void
conn_new(conn_t *c, const char *suite)
{
    flight_t     flight;
    const char  *reason;

    memset(c, 0, sizeof(conn_t));

    c->server = make_ssl(1, suite);
    c->client = make_ssl(0, suite);

    SSL_set_accept_state(c->server);
    SSL_set_connect_state(c->client);
    must(trl_watch(c->server, &c->watch) == 0);

    must(SSL_do_handshake(c->client) == -1);

    do {
        take(c->client, &flight);
        must(flight.len);
        (void) pass(&flight, c->server);

        take(c->server, &flight);
        must(flight.len);

    } while (pass(&flight, c->client) != 1);

    if (trl_freeze(c->server, &c->watch, &c->state, &reason) == -1) {
        printf("# %s\n", reason);
        must(0);
    }

    SSL_free(c->server);
    c->next = c->state.write.seq;

    must(trl_channel_init(&c->ch, &c->state) == TRL_OK);
}


static void
conn_done(conn_t *c)
{
    trl_channel_done(&c->ch);
    SSL_free(c->client);
}


static ssize_t
seal(conn_t *c, const char *text, uint8_t *record)
{
    unsigned      n;
    struct iovec  iov;

    iov.iov_base = (void *) text;
    iov.iov_len = strlen(text);

    n = trl_datagram_needs(&c->ch);
    trl_datagram_reserve(&c->ch, c->next, n);
    c->next += n;

    return trl_channel_seal(&c->ch, &iov, 1, record);
}


/* Opens and processes a record: "data", or a reason in brackets. */

static const char *
opened(conn_t *c, uint8_t *record, size_t len)
{
    int             rc;
    trl_datagram_t  d;
    static char     text[BUFFER];

    rc = trl_datagram_open(&c->ch, record, len, &d);

    if (rc == TRL_OK
        && trl_window_mark(&c->state.u.tls12.window, d.number) == -1)
    {
        return "[repeated]";
    }

    if (rc == TRL_OK) {
        rc = trl_datagram_read(&c->ch, &d);
    }

    if (rc != TRL_OK) {
        snprintf(text, BUFFER, "[%s]",
                 rc == TRL_CLOSED ? "closed" : trl_error_text(c->ch.reason));
        return text;
    }

    must(d.data >= record && d.data + d.len <= record + len);
    memcpy(text, d.data, d.len);
    text[d.len] = '\0';

    return text;
}


static const char *
sent(conn_t *c, const char *text, flight_t *flight)
{
    flight_t  copy;

    must(SSL_write(c->client, text, (int) strlen(text)) > 0);
    take(c->client, flight);

    copy = *flight;

    return opened(c, copy.data, copy.len);
}


static const char *
received(conn_t *c)
{
    int          n;
    static char  text[BUFFER];

    n = SSL_read(c->client, text, BUFFER - 1);
    text[n > 0 ? n : 0] = '\0';

    return text;
}


static void
test_suite(const char *suite)
{
    int       pass;
    uint8_t   record[UNIT_BUFFER];
    conn_t    c;
    ssize_t   n;
    flight_t  flight;

    conn_new(&c, suite);

    must(c.state.protocol == TRL_DTLSv1_2);

    pass = strcmp(sent(&c, "request", &flight), "request") == 0;

    n = seal(&c, "response", record);
    must(n > 0 && n <= TRL_DATAGRAM_HEADER + 8 + 8 + 16);
    must(trl_datagram_size(record) == n);
    must(BIO_write(SSL_get_rbio(c.client), record, (int) n) == n);

    ok(pass && strcmp(received(&c), "response") == 0,
       "%s: data in both directions", suite);

    conn_done(&c);
}


static void
test_order(void)
{
    int         i, pass;
    char        text[32];
    conn_t      c;
    flight_t    flights[100], copy;
    const char *got;

    conn_new(&c, "ECDHE-ECDSA-AES128-GCM-SHA256");

    for (i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "%d", i);
        must(SSL_write(c.client, text, (int) strlen(text)) > 0);
        take(c.client, &flights[i]);
    }

    pass = 1;

    for (i = 99; i >= 0; i--) {
        snprintf(text, sizeof(text), "%d", i);
        copy = flights[i];
        got = opened(&c, copy.data, copy.len);

        if (i > 99 - TRL_WINDOW_SIZE) {
            pass = pass && strcmp(got, text) == 0;

        } else {
            pass = pass && strcmp(got, "[repeated]") == 0;
        }
    }

    ok(pass, "records in the wrong order, as far as the window goes");

    pass = 1;

    for (i = 0; i < 100; i++) {
        copy = flights[i];
        pass = pass && strcmp(opened(&c, copy.data, copy.len), "[repeated]")
                       == 0;
    }

    ok(pass, "repeated records");

    ok(strcmp(sent(&c, "next", &copy), "next") == 0, "the next one");

    conn_done(&c);
}


static void
test_discarded(const char *suite)
{
    int       pass;
    size_t    i;
    conn_t    c;
    flight_t  flight, copy;

    conn_new(&c, suite);

    must(SSL_write(c.client, "data", 4) > 0);
    take(c.client, &flight);

    pass = 1;

    for (i = 0; i < 8 * flight.len; i++) {
        copy = flight;
        copy.data[i / 8] ^= (uint8_t) (1 << i % 8);
        pass = pass && *opened(&c, copy.data, copy.len) == '[';
    }

    ok(pass, "%s: any bit inverted", suite);

    pass = 1;

    for (i = TRL_DATAGRAM_HEADER; i < flight.len; i++) {
        copy = flight;
        copy.data[11] = (uint8_t) ((i - TRL_DATAGRAM_HEADER) >> 8);
        copy.data[12] = (uint8_t) (i - TRL_DATAGRAM_HEADER);
        pass = pass && strcmp(opened(&c, copy.data, i), "[bad record MAC]")
                       == 0;
    }

    ok(pass, "%s: any length", suite);
    ok(strcmp(opened(&c, flight.data, flight.len), "data") == 0,
       "%s: the record itself", suite);

    conn_done(&c);
}


static void
test_messages(void)
{
    ssize_t       n;
    uint8_t       record[UNIT_BUFFER];
    conn_t        c;
    unit_pair_t   p;
    trl_channel_t *ch;

    unit_pair(&p, TRL_DTLSv1_2, TRL_AES_128_GCM);

    memset(&c, 0, sizeof(conn_t));
    c.state = p.state;
    c.next = c.state.write.seq;
    ch = &c.ch;
    must(trl_channel_init(ch, &c.state) == TRL_OK);

    n = unit_seal(&p, TRL_HANDSHAKE, "\24\0\0\14", 4, record);
    ok(strcmp(opened(&c, record, n), "") == 0 && !c.state.answer_owed,
       "Finished");

    n = unit_seal(&p, TRL_HANDSHAKE, "\13\0\0\14", 4, record);
    ok(strcmp(opened(&c, record, n), "[unexpected handshake message]") == 0,
       "another message");

    n = unit_seal(&p, TRL_HANDSHAKE, "", 0, record);
    ok(strcmp(opened(&c, record, n), "[empty handshake record]") == 0,
       "empty handshake record");

    n = unit_seal(&p, TRL_CHANGE_CIPHER_SPEC, "\1", 1, record);
    ok(strcmp(opened(&c, record, n), "[unexpected record type]") == 0,
       "ChangeCipherSpec");

    n = unit_seal(&p, TRL_HANDSHAKE, "\1\0\0\14", 4, record);
    ok(strcmp(opened(&c, record, n), "") == 0 && c.state.answer_owed
       && trl_datagram_needs(ch) == 2, "ClientHello");

    n = seal(&c, "data", record);
    ok(n == 2 * (TRL_DATAGRAM_HEADER + 8 + 16) + 2 + 4 && record[0] == TRL_ALERT
       && c.next == EPOCH + 3, "no_renegotiation, and data");

    n = unit_seal(&p, TRL_ALERT, "\1\132", 2, record);
    ok(strcmp(opened(&c, record, n), "") == 0, "warning");

    n = unit_seal(&p, TRL_ALERT, "\3\132", 2, record);
    ok(strcmp(opened(&c, record, n), "[unknown alert level]") == 0,
       "alert of another level");

    n = unit_seal(&p, TRL_ALERT, "\1\0\0", 3, record);
    ok(strcmp(opened(&c, record, n), "[malformed alert]") == 0,
       "malformed alert");

    n = unit_seal(&p, TRL_ALERT, "", 0, record);
    ok(strcmp(opened(&c, record, n), "[empty alert]") == 0, "empty alert");

    c.state.max_fragment = 512;
    n = unit_seal(&p, TRL_APPLICATION_DATA, record, 513, record + 1000);
    ok(strcmp(opened(&c, record + 1000, n), "[plaintext too long]") == 0,
       "max_fragment_length");

    n = unit_seal(&p, TRL_ALERT, "\1\0", 2, record);
    ok(strcmp(opened(&c, record, n), "[closed]") == 0 && c.state.read_closed,
       "close_notify");

    n = unit_seal(&p, TRL_ALERT, "\2\50", 2, record);
    ok(strcmp(opened(&c, record, n), "[fatal alert received]") == 0
       && ch->peer_alert == 40 && c.state.write_closed, "fatal alert");

    trl_channel_done(ch);
    unit_pair_done(&p);
}


static void
test_numbers(void)
{
    uint8_t       record[UNIT_BUFFER];
    unit_pair_t   p;
    struct iovec  iov = { (void *) "data", 4 };

    unit_pair(&p, TRL_DTLSv1_2, TRL_AES_128_GCM);

    ok(trl_channel_seal(&p.ch, &iov, 1, record) == -1
       && p.ch.reason == TRL_E_SEAL, "no number is reserved");

    p.state.write_closed = 0;
    trl_datagram_reserve(&p.ch, EPOCH + 7, 2);

    ok(trl_channel_seal(&p.ch, &iov, 1, record) > 0 && record[4] == 1
       && record[10] == 7, "the first number");
    ok(trl_channel_seal(&p.ch, &iov, 1, record) > 0 && record[10] == 8,
       "the last number");
    ok(trl_channel_seal(&p.ch, &iov, 1, record) == -1, "and no other one");

    p.state.write_closed = 0;
    trl_datagram_reserve(&p.ch, EPOCH + trl_aead_limit(TRL_AES_128_GCM) - 1, 1);
    ok(trl_channel_seal(&p.ch, &iov, 1, record) == -1
       && p.ch.reason == TRL_E_KEY_LIMIT, "the limit of the AEAD");
    ok(trl_channel_alert(&p.ch, TRL_CLOSE_NOTIFY, record) > 0,
       "close_notify at the limit");

    unit_pair_done(&p);

    unit_pair(&p, TRL_DTLSv1_2, TRL_CHACHA20_POLY1305);
    ok(trl_state_limit(&p.state) == 0xffffffffffff, "the limit of an epoch");
    unit_pair_done(&p);
}


static void
test_sizes(void)
{
    uint8_t  header[TRL_DATAGRAM_HEADER] = { 23, 0xfe, 0xfd };

    ok(trl_datagram_size(header) == TRL_DATAGRAM_HEADER, "empty record");

    header[11] = 0x48;
    ok(trl_datagram_size(header) == TRL_ERROR, "record too long");

    header[11] = 0x40;
    ok(trl_datagram_size(header) > TRL_MAX_PLAINTEXT, "long record");

    header[0] = 24;
    ok(trl_datagram_size(header) == TRL_ERROR, "unknown type");

    header[0] = 22;
    header[1] = 3;
    ok(trl_datagram_size(header) == TRL_ERROR, "TLS");
}


int
main(void)
{
    size_t  i;

    static const char  *suites[] = {
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-CCM",
        "ECDHE-ECDSA-AES256-CCM", "ECDHE-ECDSA-AES128-CCM8",
        "ECDHE-ECDSA-AES256-CCM8", "PSK-AES128-GCM-SHA256",
        "PSK-AES128-CCM8", "ECDHE-PSK-CHACHA20-POLY1305"
    };

    make_cert();

    for (i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        test_suite(suites[i]);
    }

    test_order();
    test_discarded("ECDHE-ECDSA-AES128-GCM-SHA256");
    test_discarded("ECDHE-ECDSA-CHACHA20-POLY1305");
    test_discarded("ECDHE-ECDSA-AES128-CCM8");
    test_messages();
    test_numbers();
    test_sizes();

    X509_free(cert);
    EVP_PKEY_free(key);
    trl_cipher_cleanup();
    trl_hash_cleanup();

    return tap_done();
}
