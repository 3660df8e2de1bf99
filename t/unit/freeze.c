
/*
 * OpenSSL as the peer: an SSL of either role is frozen, and its peer does not
 * notice it.
 */


#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "unit.h"


#define BUFFER  200000


/* A connection: one end is to be frozen, the other one remains with OpenSSL. */

typedef struct {
    SSL                *server;
    SSL                *client;
    SSL                *peer;               /* server or client */
    SSL                *frozen;             /* the other, until it is freed */
    trl_watch_t         watch[2];           /* client, server */
    trl_state_t         states[2];          /* one is in use, one for moving */
    trl_channel_t       ch;
    const char         *reason;

    uint8_t             in[BUFFER];         /* input of the channel */
    size_t              in_len;
} conn_t;


static EVP_PKEY  *rsa_key;
static EVP_PKEY  *ec_key;
static X509      *rsa_cert;
static X509      *ec_cert;
static uint8_t    data[100000];
static uint8_t    got[BUFFER];
static conn_t     conn;


static X509 *
make_cert(EVP_PKEY *key, const char *name)
{
    X509       *cert;
    X509_NAME  *subject;

    cert = X509_new();
    must(cert != NULL);

    subject = X509_NAME_new();
    must(subject != NULL);
    must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                    (const unsigned char *) name, -1, -1, 0));

    must(X509_set_version(cert, 2));
    must(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1));
    must(X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL);
    must(X509_gmtime_adj(X509_getm_notAfter(cert), 86400) != NULL);
    must(X509_set_subject_name(cert, subject));
    must(X509_set_issuer_name(cert, subject));
    must(X509_set_pubkey(cert, key));
    must(X509_sign(cert, key, EVP_sha256()) > 0);

    X509_NAME_free(subject);

    return cert;
}


static SSL_CTX *
make_ctx(int server, int version, const char *ciphers)
{
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    must(ctx != NULL);

    SSL_CTX_set_security_level(ctx, 0);         /* CCM-8 */

    must(SSL_CTX_set_min_proto_version(ctx, version));
    must(SSL_CTX_set_max_proto_version(ctx, version));

    if (ciphers && version == TLS1_3_VERSION) {
        must(SSL_CTX_set_ciphersuites(ctx, ciphers));

    } else if (ciphers) {
        must(SSL_CTX_set_cipher_list(ctx, ciphers));
    }

    if (server) {
        must(SSL_CTX_use_certificate(ctx, rsa_cert));
        must(SSL_CTX_use_PrivateKey(ctx, rsa_key));
        must(SSL_CTX_use_certificate(ctx, ec_cert));
        must(SSL_CTX_use_PrivateKey(ctx, ec_key));
        must(SSL_CTX_set_dh_auto(ctx, 1));
        must(SSL_CTX_set_session_id_context(ctx, (unsigned char *) "t", 1));
    }

    SSL_CTX_set_read_ahead(ctx, 1);             /* is disabled by the watch */
    must(trl_watch_ctx(ctx) == 0);
    must(SSL_CTX_get_read_ahead(ctx) == 0);

    return ctx;
}


/* Two ends with memory BIOs. */

static void
conn_new(conn_t *c, SSL_CTX *server, SSL_CTX *client, int freeze_server)
{
    int   i;
    SSL  *ssl;
    BIO  *in, *out;

    memset(c, 0, sizeof(conn_t));

    for (i = 0; i < 2; i++) {
        ssl = SSL_new(i ? server : client);
        in = BIO_new(BIO_s_mem());
        out = BIO_new(BIO_s_mem());
        must(ssl != NULL && in != NULL && out != NULL);

        BIO_set_mem_eof_return(in, -1);
        BIO_set_mem_eof_return(out, -1);
        SSL_set_bio(ssl, in, out);
        must(trl_watch(ssl, &c->watch[i]) == 0);

        if (i) {
            SSL_set_accept_state(ssl);
            c->server = ssl;

        } else {
            SSL_set_connect_state(ssl);
            c->client = ssl;
        }
    }

    c->frozen = freeze_server ? c->server : c->client;
    c->peer = freeze_server ? c->client : c->server;
}


static void
transfer(SSL *from, SSL *to)
{
    int  n;

    while ((n = BIO_read(SSL_get_wbio(from), got, sizeof(got))) > 0) {
        must(BIO_write(SSL_get_rbio(to), got, n) == n);
    }
}


static int
handshake(conn_t *c)
{
    int  i, client, server;

    for (i = 0; i < 5; i++) {
        client = SSL_do_handshake(c->client);
        transfer(c->client, c->server);

        server = SSL_do_handshake(c->server);
        transfer(c->server, c->client);

        if (client == 1 && server == 1) {
            return 1;
        }
    }

    return 0;
}


/* Moves the content of a BIO to the channel's input. */

static void
collect(conn_t *c, BIO *bio)
{
    int  n;

    while ((n = BIO_read(bio, c->in + c->in_len, (int) (BUFFER - c->in_len)))
           > 0)
    {
        c->in_len += (size_t) n;
    }
}


static int
freeze(conn_t *c)
{
    int           rc;
    SSL          *ssl;
    trl_watch_t  *watch;

    ssl = c->frozen;
    watch = &c->watch[ssl == c->server];

    rc = trl_freeze(ssl, watch, &c->states[0], &c->reason);

    if (rc == -1) {
        return -1;
    }

    transfer(ssl, c->peer);
    collect(c, SSL_get_rbio(ssl));

    OPENSSL_cleanse(watch, sizeof(trl_watch_t));
    SSL_free(ssl);
    c->frozen = NULL;

    must(trl_channel_init(&c->ch, &c->states[0]) == TRL_OK);

    return 0;
}


static void
move(conn_t *c)
{
    unit_move(&c->ch, (c->ch.state == &c->states[0]) ? &c->states[1]
                                                     : &c->states[0]);
}


/* Opens all records of the peer; -1 on errors or partial records. */

static ssize_t
channel_read(conn_t *c)
{
    int       rc;
    size_t    pos, n, total;
    ssize_t   len;
    uint8_t  *p;

    collect(c, SSL_get_wbio(c->peer));

    total = 0;
    pos = 0;
    rc = TRL_OK;

    while (rc == TRL_OK && c->in_len - pos >= TRL_HEADER_SIZE) {
        len = trl_channel_header(&c->ch, c->in + pos);
        if (len == -1 || (size_t) len > c->in_len - pos) {
            break;
        }

        rc = trl_channel_open(&c->ch, c->in + pos, (size_t) len, &p, &n);
        if (rc == TRL_ERROR) {
            printf("# %s\n", c->ch.error);
            break;
        }

        memcpy(got + total, p, n);
        total += n;
        pos += (size_t) len;
    }

    n = c->in_len - pos;
    c->in_len = 0;

    return n ? -1 : (ssize_t) total;
}


static void
channel_write(conn_t *c, size_t n)
{
    size_t        part, pos;
    ssize_t       len;
    uint8_t       record[UNIT_BUFFER];
    struct iovec  iov;

    pos = 0;

    do {
        part = n - pos;
        if (part > trl_channel_max(&c->ch)) {
            part = trl_channel_max(&c->ch);
        }

        iov.iov_base = data + pos;
        iov.iov_len = part;
        pos += part;

        len = trl_channel_seal(&c->ch, &iov, 1, record);
        must(len > 0);
        must(BIO_write(SSL_get_rbio(c->peer), record, (int) len) == len);

    } while (pos < n);
}


/* Reads all data for the peer; -1 on errors. */

static int
peer_read(conn_t *c)
{
    int  n, total;

    total = 0;

    for ( ;; ) {
        n = SSL_read(c->peer, got + total, (int) sizeof(got) - total);
        if (n <= 0) {
            break;
        }

        total += n;
    }

    if (SSL_get_error(c->peer, n) != SSL_ERROR_WANT_READ) {
        ERR_print_errors_fp(stdout);
        return -1;
    }

    return total;
}


/* Data of all sizes in both directions.  The state is moved after each. */

static int
exchange(conn_t *c)
{
    int     n;
    size_t  i;

    static const int  sizes[] = { 1, 0, 100, 16383, 16384, 16385, 100000 };

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        n = sizes[i];

        channel_write(c, (size_t) n);
        move(c);

        if (peer_read(c) != n || memcmp(got, data, (size_t) n) != 0) {
            printf("# %d bytes to the peer\n", n);
            return 0;
        }

        if (n && SSL_write(c->peer, data, n) != n) {
            return 0;
        }

        if (channel_read(c) != n || memcmp(got, data, (size_t) n) != 0) {
            printf("# %d bytes from the peer\n", n);
            return 0;
        }

        move(c);
    }

    return 1;
}


static int
same_exports(conn_t *c)
{
    int                   i, same;
    SSL                  *ssl;
    size_t                j;
    uint8_t               ours[300], theirs[300];
    const char           *label;
    const unsigned char  *context;

    static const size_t  sizes[] = { 1, 32, 48, 300 };
    static const char   *labels[] = { "EXPORTER-Channel-Binding", "x", "" };

    ssl = c->peer;
    same = 1;
    context = data;

    for (i = 0; i < 3; i++) {
        label = labels[i];

        for (j = 0; j < 4; j++) {

            must(SSL_export_keying_material(ssl, theirs, sizes[j], label,
                                            strlen(label), NULL, 0, 0));
            same &= (trl_export(c->ch.state, label, strlen(label), NULL, 0,
                                ours, sizes[j]) == 0
                     && memcmp(ours, theirs, sizes[j]) == 0);

            must(SSL_export_keying_material(ssl, theirs, sizes[j], label,
                                            strlen(label), context, 0, 1));
            same &= (trl_export(c->ch.state, label, strlen(label), context,
                                0, ours, sizes[j]) == 0
                     && memcmp(ours, theirs, sizes[j]) == 0);

            must(SSL_export_keying_material(ssl, theirs, sizes[j], label,
                                            strlen(label), context, 100, 1));
            same &= (trl_export(c->ch.state, label, strlen(label), context,
                                100, ours, sizes[j]) == 0
                     && memcmp(ours, theirs, sizes[j]) == 0);
        }
    }

    same &= (trl_export(c->ch.state, "key expansion", 13, NULL, 0, ours, 32)
             == -1);
    same &= (trl_export(c->ch.state, "client finished and more", 24, NULL, 0,
                        ours, 32)
             == -1);

    return same;
}


/* OpenSSL updates its key, with and without requesting an update. */

static int
updates(conn_t *c)
{
    int      i, type;
    uint8_t  record[TRL_CHANNEL_SHORT_RECORD];
    ssize_t  len;

    for (i = 0; i < 6; i++) {
        type = (i & 1) ? SSL_KEY_UPDATE_NOT_REQUESTED
                       : SSL_KEY_UPDATE_REQUESTED;

        must(SSL_key_update(c->peer, type));
        must(SSL_do_handshake(c->peer) == 1);

        if (channel_read(c) != 0
            || c->ch.state->answer_owed != (type == SSL_KEY_UPDATE_REQUESTED)
            || c->ch.state->read.seq != 0)
        {
            return 0;
        }

        move(c);

        if (i == 2) {
            len = trl_channel_answer(&c->ch, record);
            must(len > 0);
            must(BIO_write(SSL_get_rbio(c->peer), record, (int) len) == len);
        }

        if (!exchange(c) || c->ch.state->answer_owed) {
            return 0;
        }
    }

    return 1;
}


static int
closes(conn_t *c)
{
    uint8_t  record[TRL_CHANNEL_SHORT_RECORD];
    ssize_t  len;

    must(SSL_shutdown(c->peer) == 0);

    if (channel_read(c) != 0 || !c->ch.state->read_closed) {
        return 0;
    }

    len = trl_channel_alert(&c->ch, TRL_CLOSE_NOTIFY, record);
    must(len > 0);
    must(BIO_write(SSL_get_rbio(c->peer), record, (int) len) == len);

    return SSL_shutdown(c->peer) == 1;
}


static void
conn_done(conn_t *c)
{
    trl_channel_done(&c->ch);

    SSL_free(c->frozen);
    SSL_free(c->peer);

    ERR_clear_error();
}


static void
conversation(conn_t *c, const char *name)
{
    int  early;

    /* data after the client's Finished remain in the BIO */

    early = (c->frozen == c->server);

    if (early) {
        must(SSL_write(c->client, "early", 5) == 5);
        transfer(c->client, c->server);
    }

    if (!ok(freeze(c) == 0, "%s: frozen", name)) {
        printf("# %s\n", c->reason);
        conn_done(c);
        return;
    }

    if (early) {
        ok(channel_read(c) == 5 && memcmp(got, "early", 5) == 0,
           "%s: data that came with the handshake", name);
    }

    ok(c->ch.state->suite
       == SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(c->peer)),
       "%s: suite", name);
    ok(same_exports(c), "%s: exporter", name);
    ok(exchange(c), "%s: data both ways", name);

    if (c->ch.state->protocol == TRL_TLSv1_3) {
        ok(updates(c), "%s: KeyUpdate", name);
    }

    ok(closes(c), "%s: closed", name);
    ok(ERR_peek_error() == 0, "%s: OpenSSL's error queue is empty", name);

    conn_done(c);
}


static void
test_suites(void)
{
    int       role;
    char      name[100];
    size_t    i;
    SSL_CTX  *server, *client;

    static const struct {
        int          version;
        const char  *name;
    } suites[] = {
        { TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256" },
        { TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384" },
        { TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256" },
        { TLS1_3_VERSION, "TLS_AES_128_CCM_SHA256" },
        { TLS1_3_VERSION, "TLS_AES_128_CCM_8_SHA256" },
        { TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256" },
        { TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384" },
        { TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-CCM" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM8" },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-CCM8" },
        { TLS1_2_VERSION, "DHE-RSA-AES128-CCM" },
        { TLS1_2_VERSION, "DHE-RSA-AES256-CCM8" }
    };

    for (i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        server = make_ctx(1, suites[i].version, suites[i].name);
        client = make_ctx(0, suites[i].version, suites[i].name);

        for (role = 0; role < 2; role++) {
            snprintf(name, sizeof(name), "%s, %s", suites[i].name,
                     role ? "server" : "client");

            /* tickets are not supported by a frozen client */

            must(SSL_CTX_set_num_tickets(server, role ? 2 : 0));

            conn_new(&conn, server, client, role);
            must(handshake(&conn));
            conversation(&conn, name);
        }

        SSL_CTX_free(server);
        SSL_CTX_free(client);
    }
}


static SSL_SESSION *
first_session(SSL_CTX *server, SSL_CTX *client)
{
    SSL_SESSION  *session;

    conn_new(&conn, server, client, 1);
    must(handshake(&conn));

    ok(freeze(&conn) == 0, "the session to resume: frozen");
    ok(exchange(&conn), "the session to resume: used");

    session = SSL_get1_session(conn.client);
    must(session != NULL && SSL_SESSION_is_resumable(session));

    ok(closes(&conn), "the session to resume: closed");
    conn_done(&conn);

    return session;
}


static void
test_resumption(int version, const char *ciphers, int tickets)
{
    int           role;
    char          name[100];
    SSL_CTX      *server, *client;
    SSL_SESSION  *session;

    server = make_ctx(1, version, ciphers);
    client = make_ctx(0, version, ciphers);

    if (!tickets) {
        SSL_CTX_set_options(server, SSL_OP_NO_TICKET);
    }

    for (role = 0; role < 2; role++) {
        must(SSL_CTX_set_num_tickets(server, 2));
        session = first_session(server, client);
        must(SSL_CTX_set_num_tickets(server, role ? 1 : 0));

        conn_new(&conn, server, client, role);
        must(SSL_set_session(conn.client, session));
        SSL_SESSION_free(session);
        must(handshake(&conn));

        snprintf(name, sizeof(name), "%s, %s, resumed with %s",
                 SSL_get_version(conn.client), role ? "server" : "client",
                 tickets ? "a ticket" : "its identifier");

        ok(SSL_session_reused(conn.client), "%s", name);
        conversation(&conn, name);
    }

    SSL_CTX_free(server);
    SSL_CTX_free(client);
}


static int
verify_any(X509_STORE_CTX *store, void *arg)
{
    (void) store;
    (void) arg;

    return 1;
}


/* Tickets with a client certificate require several small records. */

static void
test_max_fragment(int version, int verify)
{
    char      name[100];
    SSL_CTX  *server, *client;

    server = make_ctx(1, version, NULL);
    client = make_ctx(0, version, NULL);

    if (verify) {
        SSL_CTX_set_verify(server, SSL_VERIFY_PEER
                           | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_set_cert_verify_callback(server, verify_any, NULL);
        must(SSL_CTX_use_certificate(client, rsa_cert));
        must(SSL_CTX_use_PrivateKey(client, rsa_key));
    }

    must(SSL_CTX_set_tlsext_max_fragment_length(client,
                                         TLSEXT_max_fragment_length_512));

    conn_new(&conn, server, client, 1);
    must(handshake(&conn));

    snprintf(name, sizeof(name), "%s, fragments of 512%s",
             SSL_get_version(conn.client), verify ? ", client verified" : "");

    if (version == TLS1_3_VERSION && verify) {
        ok(conn.watch[1].sent > 2, "%s: tickets take %d records", name,
           (int) conn.watch[1].sent);
    }

    must(freeze(&conn) == 0);
    ok(trl_channel_max(&conn.ch) == 512, "%s: negotiated", name);
    ok(exchange(&conn), "%s: data both ways", name);
    ok(closes(&conn), "%s: closed", name);
    conn_done(&conn);

    SSL_CTX_free(server);
    SSL_CTX_free(client);
}


/* Early data are read, and some written, before the end of the handshake. */

static void
test_early_data(void)
{
    int           rc;
    size_t        n;
    SSL_CTX      *server, *client;
    SSL_SESSION  *session;

    server = make_ctx(1, TLS1_3_VERSION, NULL);
    client = make_ctx(0, TLS1_3_VERSION, NULL);
    must(SSL_CTX_set_max_early_data(server, 16384));

    session = first_session(server, client);

    conn_new(&conn, server, client, 1);
    must(SSL_set_session(conn.client, session));
    SSL_SESSION_free(session);

    must(SSL_write_early_data(conn.client, "zero", 4, &n) == 1);
    transfer(conn.client, conn.server);

    rc = SSL_read_early_data(conn.server, got, 100, &n);
    ok(rc == SSL_READ_EARLY_DATA_SUCCESS && n == 4, "early data");

    must(SSL_write_early_data(conn.server, "half", 4, &n) == 1);
    must(SSL_write_early_data(conn.server, "more", 4, &n) == 1);
    transfer(conn.server, conn.client);

    must(SSL_do_handshake(conn.client) == 1);
    transfer(conn.client, conn.server);

    rc = SSL_read_early_data(conn.server, got, 100, &n);
    must(rc == SSL_READ_EARLY_DATA_FINISH && n == 0);
    must(SSL_do_handshake(conn.server) == 1);

    ok(freeze(&conn) == 0, "early data: frozen");
    ok(conn.ch.state->write.seq > 2, "early data: answers counted");
    ok(peer_read(&conn) == 8 && memcmp(got, "halfmore", 8) == 0,
       "early data: answers");
    ok(exchange(&conn), "early data: and then data both ways");
    ok(closes(&conn), "early data: closed");

    conn_done(&conn);

    SSL_CTX_free(server);
    SSL_CTX_free(client);
}


/* Groups that OpenSSL does not support are skipped. */

static void
test_groups(void)
{
    size_t       i;
    SSL_CTX     *server, *client;
    const char  *name;

    static const struct {
        const char  *name;
        unsigned     group;
        int          version;
        const char  *printed;
    } groups[] = {
        { "P-256", 23, TLS1_3_VERSION, "prime256v1" },
        { "P-384", 24, TLS1_3_VERSION, "secp384r1" },
        { "P-521", 25, TLS1_3_VERSION, "secp521r1" },
        { "X25519", 29, TLS1_3_VERSION, "X25519" },
        { "X448", 30, TLS1_3_VERSION, "X448" },
        { "brainpoolP256r1tls13", 31, TLS1_3_VERSION, "brainpoolP256r1tls13" },
        { "ffdhe2048", 256, TLS1_3_VERSION, "ffdhe2048" },
        { "MLKEM768", 0x0201, TLS1_3_VERSION, "MLKEM768" },
        { "SecP256r1MLKEM768", 0x11eb, TLS1_3_VERSION, "SecP256r1MLKEM768" },
        { "X25519MLKEM768", 0x11ec, TLS1_3_VERSION, "X25519MLKEM768" },
        { "secp224r1", 21, TLS1_2_VERSION, "secp224r1" },
        { "secp256k1", 22, TLS1_2_VERSION, "secp256k1" },
        { "sect571r1", 14, TLS1_2_VERSION, "sect571r1" },
        { "P-384", 24, TLS1_2_VERSION, "secp384r1" },
        { "brainpoolP256r1", 26, TLS1_2_VERSION, "brainpoolP256r1" },
        { "X25519", 29, TLS1_2_VERSION, "X25519" }
    };

    for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        server = make_ctx(1, groups[i].version, NULL);
        client = make_ctx(0, groups[i].version, NULL);

        if (SSL_CTX_set1_groups_list(server, groups[i].name)
            && SSL_CTX_set1_groups_list(client, groups[i].name))
        {
            must(SSL_CTX_set_cipher_list(client,
                                         "ECDHE-RSA-AES128-GCM-SHA256"));

            conn_new(&conn, server, client, 1);
            must(handshake(&conn));
            must(freeze(&conn) == 0);

            name = trl_group_name(conn.ch.state->group);

            ok(conn.ch.state->group == groups[i].group, "group %s, %s",
               groups[i].name, SSL_get_version(conn.peer));
            ok(name && strcmp(name, groups[i].printed) == 0, "its name is %s",
               groups[i].printed);

            conn_done(&conn);
        }

        ERR_clear_error();
        SSL_CTX_free(server);
        SSL_CTX_free(client);
    }

    ok(trl_group_name(0) == NULL, "no group has no name");
    ok(trl_group_name(0xffff) == NULL, "nor has an unknown one");
}


/*
 * Sends the peer's Finished in records of at most size bytes, after some empty
 * records.  Returns the number of records.
 */

static size_t
recut(conn_t *c, size_t size, int empty)
{
    size_t        i, len, n;
    ssize_t       plain;
    uint8_t      *p;
    unsigned      type;
    trl_state_t   state;
    trl_cipher_t  read, write;
    trl_key_t     key;
    struct iovec  iov;

    memset(&state, 0, sizeof(trl_state_t));
    state.protocol = TRL_TLSv1_2;
    state.aead = TRL_CHACHA20_POLY1305;
    must(trl_freeze_tls12(c->peer, &c->watch[c->peer == c->server], &state)
         == NULL);

    /* these are the write keys of the peer */

    state.write.seq = 0;
    key = state.write;
    must(trl_cipher_init(&read, TRL_TLSv1_2, state.aead, &state.write, 0)
         == 0);
    must(trl_cipher_init(&write, TRL_TLSv1_2, state.aead, &key, 1) == 0);

    collect(c, SSL_get_wbio(c->peer));
    len = c->in_len;
    c->in_len = 0;

    /* the last record is Finished, after ChangeCipherSpec */

    for (i = 0; /* void */ ; i += n) {
        n = 5 + ((size_t) c->in[i + 3] << 8 | c->in[i + 4]);

        if (i + n == len) {
            break;
        }
    }

    must(BIO_write(SSL_get_rbio(c->frozen), c->in, (int) i) == (int) i);

    plain = trl_record_open(&read, c->in + i, n, &type, &p);
    must(plain == 16 && type == TRL_HANDSHAKE && p[0] == SSL3_MT_FINISHED);

    while (plain > 0) {
        iov.iov_base = p;
        iov.iov_len = ((size_t) plain < size) ? (size_t) plain : size;

        if (empty) {
            iov.iov_len = 0;
            empty--;
        }

        p += iov.iov_len;
        plain -= (ssize_t) iov.iov_len;

        n = (size_t) trl_record_seal(&write, TRL_HANDSHAKE, &iov, 1, got);
        must(BIO_write(SSL_get_rbio(c->frozen), got, (int) n) == (int) n);
    }

    trl_cipher_done(&read);
    trl_cipher_done(&write);

    return (size_t) key.seq;
}


static void
test_finished(int role, int resumed)
{
    int           empty;
    size_t        size, n;
    SSL_CTX      *server, *client;
    SSL_SESSION  *session;

    server = make_ctx(1, TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305");
    client = make_ctx(0, TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305");
    session = resumed ? first_session(server, client) : NULL;

    for (size = 1; size <= 16; size += 5) {
        for (empty = 0; empty < 3; empty += 2) {

            conn_new(&conn, server, client, role);

            if (session) {
                must(SSL_set_session(conn.client, session) == 1);
            }

            /* until the peer's Finished was received */

            must(SSL_do_handshake(conn.client) == -1);
            transfer(conn.client, conn.server);
            must(SSL_do_handshake(conn.server) == -1);

            if (conn.peer == conn.client || !resumed) {
                transfer(conn.server, conn.client);
                (void) SSL_do_handshake(conn.client);
            }

            if (conn.peer == conn.server && !resumed) {
                transfer(conn.client, conn.server);
                must(SSL_do_handshake(conn.server) == 1);
            }

            n = recut(&conn, size, empty);

            must(SSL_do_handshake(conn.frozen) == 1);
            must(freeze(&conn) == 0);

            ok(n == (15 + size) / size + (size_t) empty
               && conn.ch.state->read.seq == n
               && conn.ch.state->write.seq == 1,
               "the %s's Finished%s in %zu records",
               role ? "client" : "server", resumed ? ", resumed," : "", n);

            conn_done(&conn);
        }
    }

    SSL_SESSION_free(session);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
}


/* RFC 7627, which is optional on both sides of TLS 1.2. */

static void
test_extended_master(int version, int with)
{
    int       role;
    SSL_CTX  *server, *client;

    for (role = 0; role < 2; role++) {
        server = make_ctx(1, version, NULL);
        client = make_ctx(0, version, NULL);
        must(SSL_CTX_set_num_tickets(server, role ? 2 : 0));

        if (!with) {
            SSL_CTX_set_options(client, SSL_OP_NO_EXTENDED_MASTER_SECRET);
        }

        conn_new(&conn, server, client, role);
        must(handshake(&conn));
        must(freeze(&conn) == 0);

        ok(conn.ch.state->extended_master
           == (with || version == TLS1_3_VERSION),
           "%s, %s, %s extended master secret", SSL_get_version(conn.peer),
           role ? "server" : "client", with ? "with" : "without");
        ok(same_exports(&conn), "and its exporter");

        conn_done(&conn);

        SSL_CTX_free(server);
        SSL_CTX_free(client);
    }
}


static void
test_labels(void)
{
    char          label[TRL_MAX_LABEL + 1];
    uint8_t       out[32];
    unit_pair_t   pair;

    ok(trl_label_reserved("master secret", 13), "a reserved label");
    ok(trl_label_reserved("key expansion 2", 15), "one that begins so");
    ok(!trl_label_reserved("key expansio", 12), "one that does not quite");
    ok(!trl_label_reserved("", 0), "an empty one");

    memset(label, 'x', sizeof(label));
    unit_pair(&pair, TRL_TLSv1_3, TRL_AES_128_GCM);

    ok(trl_export(&pair.state, label, TRL_MAX_LABEL, NULL, 0, out, 32) == 0,
       "the longest label");
    ok(trl_export(&pair.state, label, TRL_MAX_LABEL + 1, NULL, 0, out, 32)
       == -1, "one that is too long");

    unit_pair_done(&pair);
}


static void
not_frozen(conn_t *c, const char *reason)
{
    int             rc;
    size_t          i, sum;
    const uint8_t  *p;

    rc = freeze(c);

    if (!ok(rc == -1 && strcmp(c->reason, reason) == 0, "not frozen: %s",
            reason))
    {
        printf("# %s\n", c->reason ? c->reason : "frozen");
    }

    p = (const uint8_t *) &c->states[0];

    for (i = 0, sum = 0; i < sizeof(trl_state_t); i++) {
        sum += p[i];
    }

    must(sum == 0);

    conn_done(c);
}


static void
test_refusals(void)
{
    SSL_CTX  *server, *client, *cbc, *cbc12;

    server = make_ctx(1, TLS1_3_VERSION, NULL);
    client = make_ctx(0, TLS1_3_VERSION, NULL);
    cbc = make_ctx(1, TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256");
    cbc12 = make_ctx(0, TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256");

    conn_new(&conn, server, client, 1);
    not_frozen(&conn, "the handshake is not finished");

    conn_new(&conn, server, client, 1);
    must(SSL_do_handshake(conn.client) == -1);
    transfer(conn.client, conn.server);
    must(SSL_do_handshake(conn.server) == -1);
    not_frozen(&conn, "the handshake is not finished");

    conn_new(&conn, server, client, 1);
    must(handshake(&conn));
    must(SSL_set_ex_data(conn.server, trl_watch_index(), NULL));
    not_frozen(&conn, "no watch for the connection");

    conn_new(&conn, server, client, 1);
    must(handshake(&conn));
    conn.watch[1].client_len = 0;
    not_frozen(&conn, "no secrets were logged");

    conn_new(&conn, cbc, cbc12, 1);
    must(handshake(&conn));
    not_frozen(&conn, "unsupported cipher suite");

    SSL_CTX_free(server);
    SSL_CTX_free(client);
    SSL_CTX_free(cbc);
    SSL_CTX_free(cbc12);
}


/* After the handshake: data that were read, partly read, or partly received. */

static void
test_used(void)
{
    int       n;
    SSL_CTX  *server, *client, *server12, *client12;

    server = make_ctx(1, TLS1_3_VERSION, NULL);
    client = make_ctx(0, TLS1_3_VERSION, NULL);
    server12 = make_ctx(1, TLS1_2_VERSION, NULL);
    client12 = make_ctx(0, TLS1_2_VERSION, NULL);

    conn_new(&conn, server, client, 1);
    must(handshake(&conn));
    must(SSL_write(conn.client, "data", 4) == 4);
    transfer(conn.client, conn.server);
    must(SSL_read(conn.server, got, 100) == 4);
    not_frozen(&conn, "records were read after the handshake");

    conn_new(&conn, server12, client12, 1);
    must(handshake(&conn));
    must(SSL_write(conn.client, "data", 4) == 4);
    transfer(conn.client, conn.server);
    must(SSL_read(conn.server, got, 2) == 2);
    not_frozen(&conn, "records were read after the handshake");

    for (n = 1; n < 20; n += 6) {
        conn_new(&conn, server, client, 1);
        must(handshake(&conn));
        must(SSL_write(conn.client, "data", 4) == 4);
        must(BIO_read(SSL_get_wbio(conn.client), got, n) == n);
        must(BIO_write(SSL_get_rbio(conn.server), got, n) == n);
        must(SSL_read(conn.server, got, 100) == -1);
        not_frozen(&conn, "records were read after the handshake");
    }

    SSL_CTX_free(server);
    SSL_CTX_free(client);
    SSL_CTX_free(server12);
    SSL_CTX_free(client12);
}


/* The state was changed after the handshake, or cannot be represented. */

static void
test_changed(void)
{
    int       n;
    SSL_CTX  *server, *client, *server12, *client12, *old;

    server = make_ctx(1, TLS1_3_VERSION, NULL);
    client = make_ctx(0, TLS1_3_VERSION, NULL);
    server12 = make_ctx(1, TLS1_2_VERSION, NULL);
    client12 = make_ctx(0, TLS1_2_VERSION, NULL);

    conn_new(&conn, server, client, 1);
    must(handshake(&conn));
    must(SSL_key_update(conn.server, SSL_KEY_UPDATE_NOT_REQUESTED));
    not_frozen(&conn, "the handshake is not finished");

    conn_new(&conn, server, client, 1);
    must(handshake(&conn));
    must(SSL_key_update(conn.server, SSL_KEY_UPDATE_NOT_REQUESTED));
    must(SSL_do_handshake(conn.server) == 1);
    not_frozen(&conn, "the traffic keys were updated");

    conn_new(&conn, server, client, 1);
    must(handshake(&conn));
    must(SSL_shutdown(conn.server) == 0);
    not_frozen(&conn, "the connection is shut down");

    SSL_CTX_set_options(server12, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    conn_new(&conn, server12, client12, 1);
    must(handshake(&conn));
    must(SSL_renegotiate(conn.client));
    must(SSL_do_handshake(conn.client) == -1);

    for (n = 0; n < 4; n++) {
        transfer(conn.client, conn.server);
        must(SSL_read(conn.server, got, 100) == -1);
        transfer(conn.server, conn.client);
        (void) SSL_do_handshake(conn.client);
    }

    must(SSL_is_init_finished(conn.server));
    not_frozen(&conn, "the connection was renegotiated");

    old = make_ctx(0, TLS1_1_VERSION, NULL);
    must(SSL_CTX_set_min_proto_version(server12, TLS1_1_VERSION));
    must(SSL_CTX_set_cipher_list(server12, "DEFAULT:@SECLEVEL=0"));
    conn_new(&conn, server12, old, 1);
    if (handshake(&conn)) {
        not_frozen(&conn, "unsupported protocol version");
    } else {
        conn_done(&conn);
    }

    SSL_CTX_free(old);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    SSL_CTX_free(server12);
    SSL_CTX_free(client12);
}


int
main(void)
{
    rsa_key = EVP_RSA_gen(2048);
    ec_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    must(rsa_key != NULL && ec_key != NULL);

    rsa_cert = make_cert(rsa_key, "rsa");
    ec_cert = make_cert(ec_key, "ec");

    unit_fill(data, sizeof(data), 9);

    test_suites();
    test_resumption(TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", 1);
    test_resumption(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    test_resumption(TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", 1);
    test_resumption(TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM8", 0);
    test_max_fragment(TLS1_3_VERSION, 0);
    test_max_fragment(TLS1_3_VERSION, 1);
    test_max_fragment(TLS1_2_VERSION, 1);
    test_early_data();
    test_groups();
    test_finished(1, 0);
    test_finished(1, 1);
    test_finished(0, 0);
    test_finished(0, 1);
    test_extended_master(TLS1_2_VERSION, 1);
    test_extended_master(TLS1_2_VERSION, 0);
    test_extended_master(TLS1_3_VERSION, 0);
    test_labels();
    test_refusals();
    test_used();
    test_changed();

    X509_free(rsa_cert);
    X509_free(ec_cert);
    EVP_PKEY_free(rsa_key);
    EVP_PKEY_free(ec_key);

    return tap_done();
}
