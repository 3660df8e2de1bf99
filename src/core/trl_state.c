
/*
 * The portable state, see trl_state.h.
 */


#include <string.h>

#include <openssl/crypto.h>

#include "trl_derive.h"
#include "trl_state.h"


typedef struct {
    unsigned            group;
    int                 nid;
    const char         *name;               /* NULL: the name of the NID */
} trl_group_t;


static int trl_watch_index(void);
static void trl_keylog(const SSL *ssl, const char *line);
static int trl_hex(const char *p, uint8_t *out, size_t size);
static void trl_message(int write_p, int version, int type, const void *buf,
    size_t len, SSL *ssl, void *arg);
static void trl_message_header(trl_watch_t *watch, int write_p,
    const uint8_t *p, size_t len);

static unsigned trl_cipher_aead(const SSL_CIPHER *cipher);
static unsigned trl_group(int nid);
static const char *trl_freeze_check(SSL *ssl, const trl_watch_t *watch);
static const char *trl_freeze_tls13(SSL *ssl, const trl_watch_t *watch,
    trl_state_t *state);
static const char *trl_freeze_tls12(SSL *ssl, const trl_watch_t *watch,
    trl_state_t *state);

static int trl_state_update(const trl_state_t *state, uint8_t *secret,
    trl_key_t *key);
static int trl_traffic_key(const trl_state_t *state, const uint8_t *secret,
    trl_key_t *key);


/* OpenSSL has no public function to convert its group numbers to TLS ones */

static const trl_group_t   trl_groups[] = {
    {      1, NID_sect163k1, NULL },
    {      2, NID_sect163r1, NULL },
    {      3, NID_sect163r2, NULL },
    {      4, NID_sect193r1, NULL },
    {      5, NID_sect193r2, NULL },
    {      6, NID_sect233k1, NULL },
    {      7, NID_sect233r1, NULL },
    {      8, NID_sect239k1, NULL },
    {      9, NID_sect283k1, NULL },
    {     10, NID_sect283r1, NULL },
    {     11, NID_sect409k1, NULL },
    {     12, NID_sect409r1, NULL },
    {     13, NID_sect571k1, NULL },
    {     14, NID_sect571r1, NULL },
    {     15, NID_secp160k1, NULL },
    {     16, NID_secp160r1, NULL },
    {     17, NID_secp160r2, NULL },
    {     18, NID_secp192k1, NULL },
    {     19, NID_X9_62_prime192v1, NULL },
    {     20, NID_secp224k1, NULL },
    {     21, NID_secp224r1, NULL },
    {     22, NID_secp256k1, NULL },
    {     23, NID_X9_62_prime256v1, NULL },
    {     24, NID_secp384r1, NULL },
    {     25, NID_secp521r1, NULL },
    {     26, NID_brainpoolP256r1, NULL },
    {     27, NID_brainpoolP384r1, NULL },
    {     28, NID_brainpoolP512r1, NULL },
    {     29, NID_X25519, NULL },
    {     30, NID_X448, NULL },
#ifdef NID_brainpoolP256r1tls13
    {     31, NID_brainpoolP256r1tls13, NULL },
    {     32, NID_brainpoolP384r1tls13, NULL },
    {     33, NID_brainpoolP512r1tls13, NULL },
#endif
    {    256, NID_ffdhe2048, NULL },
    {    257, NID_ffdhe3072, NULL },
    {    258, NID_ffdhe4096, NULL },
    {    259, NID_ffdhe6144, NULL },
    {    260, NID_ffdhe8192, NULL },
    { 0x0200, NID_undef, "MLKEM512" },
    { 0x0201, NID_undef, "MLKEM768" },
    { 0x0202, NID_undef, "MLKEM1024" },
    { 0x11eb, NID_undef, "SecP256r1MLKEM768" },
    { 0x11ec, NID_undef, "X25519MLKEM768" },
    { 0x11ed, NID_undef, "SecP384r1MLKEM1024" }
};

/* suites are found with an SSL, which is not used for anything else */

static SSL  *trl_suites;

#define TRL_GROUPS   (sizeof(trl_groups) / sizeof(trl_groups[0]))


int
trl_watch_ctx(SSL_CTX *ctx)
{
    if (trl_watch_index() == -1) {
        return -1;
    }

    SSL_CTX_set_keylog_callback(ctx, trl_keylog);
    SSL_CTX_set_msg_callback(ctx, trl_message);

    /* otherwise, OpenSSL might read data that follow the handshake */

    SSL_CTX_set_read_ahead(ctx, 0);

    return 0;
}


int
trl_watch(SSL *ssl, trl_watch_t *watch)
{
    if (trl_watch_index() == -1) {
        return -1;
    }

    memset(watch, 0, sizeof(trl_watch_t));

    watch->alert_in = TRL_NO_ALERT;
    watch->alert_out = TRL_NO_ALERT;

    if (SSL_set_ex_data(ssl, trl_watch_index(), watch) != 1) {
        return -1;
    }

    return 0;
}


static int
trl_watch_index(void)
{
    static int  index = -1;

    if (index == -1) {
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }

    return index;
}


/* Key log lines are "LABEL client_random secret", the last two in hex. */

static void
trl_keylog(const SSL *ssl, const char *line)
{
    int           n;
    size_t        len;
    uint8_t      *secret, *secret_len;
    const char   *p;
    trl_watch_t  *watch;

    watch = SSL_get_ex_data(ssl, trl_watch_index());
    p = strchr(line, ' ');

    if (watch == NULL || p == NULL) {
        return;
    }

    len = (size_t) (p - line);

    if (len == 23 && memcmp(line, "CLIENT_TRAFFIC_SECRET_0", 23) == 0) {
        secret = watch->client_secret;
        secret_len = &watch->client_len;

    } else if (len == 23 && memcmp(line, "SERVER_TRAFFIC_SECRET_0", 23) == 0) {
        secret = watch->server_secret;
        secret_len = &watch->server_len;

    } else if (len == 15 && memcmp(line, "EXPORTER_SECRET", 15) == 0) {
        secret = watch->exporter_secret;
        secret_len = &watch->exporter_len;

    } else {
        return;
    }

    p = strchr(p + 1, ' ');
    if (p == NULL) {
        return;
    }

    n = trl_hex(p + 1, secret, TRL_MAX_SECRET);

    /* trl_freeze() fails if the length is invalid */

    *secret_len = (n == -1) ? 0 : (uint8_t) n;
}


static int
trl_hex(const char *p, uint8_t *out, size_t size)
{
    int          i;
    size_t       n;
    unsigned     value;
    const char  *digit;

    static const char  digits[] = "0123456789abcdef0123456789ABCDEF";

    for (n = 0; *p; n++) {

        if (n == size) {
            return -1;
        }

        value = 0;

        for (i = 0; i < 2; i++) {
            digit = (*p) ? strchr(digits, *p++) : NULL;
            if (digit == NULL) {
                return -1;
            }

            value = (value << 4) | ((digit - digits) & 0xf);
        }

        out[n] = (uint8_t) value;
    }

    return (int) n;
}


/*
 * Counts records in both directions under the application data keys.
 *
 * OpenSSL reports the header of a record when the record is written or read,
 * and a handshake message after the headers of all its records.  In TLS 1.3,
 * the count starts when Finished is reported, so the records of Finished are
 * not included.  They are followed by session tickets, each in any number of
 * records, and by data sent before the client's Finished.
 *
 * In TLS 1.2, the keys change with ChangeCipherSpec (RFC 5246, section 6.1).
 * The records of Finished are included: their number is chosen by the peer.
 * Records in between, such as warning alerts, are included as well.
 */

static void
trl_message(int write_p, int version, int type, const void *buf, size_t len,
    SSL *ssl, void *arg)
{
    uint64_t       *records;
    trl_watch_t    *watch;
    const uint8_t  *p;

    (void) version;
    (void) arg;

    watch = SSL_get_ex_data(ssl, trl_watch_index());

    if (watch == NULL) {
        return;
    }

    if (len == 0) {
        return;
    }

    p = buf;

    if (type == SSL3_RT_HEADER) {
        trl_message_header(watch, write_p, p, len);
        return;
    }

    if (type == SSL3_RT_ALERT && len == 2) {
        *(write_p ? &watch->alert_out : &watch->alert_in) = p[1];
        return;
    }

    if (type == SSL3_RT_CHANGE_CIPHER_SPEC && !write_p) {
        watch->changed = 1;
        return;
    }

    if (type != SSL3_RT_HANDSHAKE) {
        return;
    }

    if (!write_p) {
        watch->messages++;
    }

    if (p[0] == SSL3_MT_KEY_UPDATE) {
        watch->rekeyed = 1;
        return;
    }

    if (write_p && p[0] != SSL3_MT_SERVER_HELLO) {
        watch->past_hello = 1;
    }

    /*
     * OpenSSL takes longer to log a secret than to derive it, and handshake
     * secrets are not needed.  The application secrets are logged after a
     * Finished, in the same call which has reported it.
     */

    SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(ssl),
                                p[0] == SSL3_MT_FINISHED ? trl_keylog : NULL);

    if (p[0] == SSL3_MT_FINISHED) {
        records = write_p ? &watch->sent : &watch->received;

        if (SSL_version(ssl) == TRL_TLSv1_3) {
            *records = 0;
        }

        if (write_p) {
            watch->finished++;

        } else {
            watch->taken = watch->received;
        }
    }
}


static void
trl_message_header(trl_watch_t *watch, int write_p, const uint8_t *p,
    size_t len)
{
    int        i;
    uint64_t  *records;

    if (len == TRL_DATAGRAM_HEADER) {

        if (write_p) {
            watch->next = 0;

            for (i = 3; i < 11; i++) {
                watch->next = watch->next << 8 | p[i];
            }

            watch->next++;
        }

        return;
    }

    records = write_p ? &watch->sent : &watch->received;
    *records = (p[0] == SSL3_RT_CHANGE_CIPHER_SPEC) ? 0 : *records + 1;
}


int
trl_cipher_supported(const SSL_CIPHER *cipher)
{
    return trl_cipher_aead(cipher) != 0;
}


static unsigned
trl_cipher_aead(const SSL_CIPHER *cipher)
{
    int          ccm_8;
    const char  *name;

    if (!SSL_CIPHER_is_aead(cipher)) {
        return 0;
    }

    /* the tag length is only available from the name */

    name = SSL_CIPHER_standard_name(cipher);
    ccm_8 = (name != NULL && strstr(name, "_CCM_8") != NULL);

    switch (SSL_CIPHER_get_cipher_nid(cipher)) {

    case NID_aes_128_gcm:
        return TRL_AES_128_GCM;

    case NID_aes_256_gcm:
        return TRL_AES_256_GCM;

    case NID_chacha20_poly1305:
        return TRL_CHACHA20_POLY1305;

    case NID_aes_128_ccm:
        return ccm_8 ? TRL_AES_128_CCM_8 : TRL_AES_128_CCM;

    case NID_aes_256_ccm:
        return ccm_8 ? TRL_AES_256_CCM_8 : TRL_AES_256_CCM;

    default:
        return 0;
    }
}


static unsigned
trl_group(int nid)
{
    size_t  i;

    if (nid == NID_undef) {
        return 0;
    }

    /* groups without a NID have their TLS number here */

    if (nid > 0 && (nid & TLSEXT_nid_unknown)) {
        return (unsigned) nid & 0xffff;
    }

    for (i = 0; i < TRL_GROUPS; i++) {
        if (trl_groups[i].nid == nid) {
            return trl_groups[i].group;
        }
    }

    return 0;
}


const char *
trl_protocol_name(unsigned protocol)
{
    switch (protocol) {

    case TRL_TLSv1_3:
        return "TLSv1.3";

    case TRL_DTLSv1_2:
        return "DTLSv1.2";

    default: /* TRL_TLSv1_2 */
        return "TLSv1.2";
    }
}


const char *
trl_suite_name(unsigned suite)
{
    SSL_CTX           *ctx;
    uint8_t            id[2];
    const SSL_CIPHER  *cipher;

    if (trl_suites == NULL) {

        ctx = SSL_CTX_new(TLS_method());

        if (ctx != NULL) {
            trl_suites = SSL_new(ctx);
            SSL_CTX_free(ctx);
        }

        if (trl_suites == NULL) {
            return NULL;
        }
    }

    id[0] = (uint8_t) (suite >> 8);
    id[1] = (uint8_t) suite;

    cipher = SSL_CIPHER_find(trl_suites, id);

    return cipher != NULL ? SSL_CIPHER_get_name(cipher) : NULL;
}


void
trl_suite_cleanup(void)
{
    SSL_free(trl_suites);
    trl_suites = NULL;
}


const char *
trl_group_name(unsigned group)
{
    size_t  i;

    for (i = 0; i < TRL_GROUPS; i++) {
        if (trl_groups[i].group == group) {
            return trl_groups[i].name ? trl_groups[i].name
                                      : OBJ_nid2sn(trl_groups[i].nid);
        }
    }

    return NULL;
}


size_t
trl_max_fragment(const SSL_SESSION *session)
{
    unsigned  mode;

    mode = SSL_SESSION_get_max_fragment_length(session);

    return mode ? (size_t) 256 << mode : TRL_MAX_PLAINTEXT;
}


void
trl_state_describe(SSL *ssl, trl_state_t *state)
{
    const SSL_CIPHER  *cipher;

    cipher = SSL_get_current_cipher(ssl);

    state->protocol = (uint16_t) SSL_version(ssl);
    state->suite = cipher ? SSL_CIPHER_get_protocol_id(cipher) : 0;
    state->group = (uint16_t) trl_group((int) SSL_get_negotiated_group(ssl));
}


const char *
trl_unsupported(SSL *ssl)
{
    int                nid;
    const char        *name;
    const SSL_CIPHER  *cipher;

    /* in TLS 1.2, the suite is pending until ChangeCipherSpec */

    cipher = SSL_get_pending_cipher(ssl);

    if (cipher != NULL && !trl_cipher_supported(cipher)) {
        return SSL_CIPHER_get_name(cipher);
    }

    /* OpenSSL reads the group from the session, which must exist */

    if (SSL_get_session(ssl) == NULL) {
        return NULL;
    }

    nid = (int) SSL_get_negotiated_group(ssl);

    if (nid == NID_undef || trl_group(nid) != 0) {
        return NULL;
    }

    name = SSL_group_to_name(ssl, nid);

    return (name != NULL) ? name : OBJ_nid2sn(nid);
}


int
trl_freeze(SSL *ssl, trl_watch_t *watch, trl_state_t *state,
    const char **reason)
{
    const EVP_MD      *md;
    const SSL_CIPHER  *cipher;

    memset(state, 0, sizeof(trl_state_t));

    *reason = trl_freeze_check(ssl, watch);
    if (*reason != NULL) {
        return -1;
    }

    trl_state_describe(ssl, state);

    cipher = SSL_get_current_cipher(ssl);
    md = SSL_CIPHER_get_handshake_digest(cipher);

    state->version = TRL_STATE_VERSION;
    state->aead = (uint8_t) trl_cipher_aead(cipher);
    state->sha384 = (md != NULL && EVP_MD_get_type(md) == NID_sha384);

    state->max_fragment = (uint16_t) trl_max_fragment(SSL_get_session(ssl));

    if (state->protocol == TRL_TLSv1_3) {
        state->extended_master = 1;
        *reason = trl_freeze_tls13(ssl, watch, state);

    } else {
        state->extended_master = (SSL_get_extms_support(ssl) == 1);
        *reason = trl_freeze_tls12(ssl, watch, state);
    }

    if (*reason != NULL) {
        OPENSSL_cleanse(state, sizeof(trl_state_t));
        return -1;
    }

    /* otherwise, SSL_free() would remove the session from the cache */

    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN|SSL_RECEIVED_SHUTDOWN);

    return 0;
}


static const char *
trl_freeze_check(SSL *ssl, const trl_watch_t *watch)
{
    const SSL_CIPHER  *cipher;

    if (SSL_get_ex_data(ssl, trl_watch_index()) != watch) {
        return "no watch for the connection";
    }

    if (!SSL_is_init_finished(ssl)) {
        return "the handshake is not finished";
    }

    if (SSL_version(ssl) != TRL_TLSv1_2 && SSL_version(ssl) != TRL_TLSv1_3
        && SSL_version(ssl) != TRL_DTLSv1_2)
    {
        return "unsupported protocol version";
    }

    cipher = SSL_get_current_cipher(ssl);

    if (cipher == NULL || !trl_cipher_supported(cipher)) {
        return "unsupported cipher suite";
    }

    if (SSL_get_session(ssl) == NULL) {
        return "no session";
    }

    if (SSL_get_current_compression(ssl) != NULL) {
        return "compression is in use";
    }

    if (SSL_get_shutdown(ssl) != 0) {
        return "the connection is shut down";
    }

    if (watch->finished != 1 || SSL_renegotiate_pending(ssl)) {
        return "the connection was renegotiated";
    }

    if (watch->rekeyed
        || SSL_get_key_update_type(ssl) != SSL_KEY_UPDATE_NONE)
    {
        return "the traffic keys were updated";
    }

    /*
     * In DTLS, the caller passes no data before the end of the handshake, and
     * a handshake record that is pending is a repetition.
     */

    if (trl_is_datagram(SSL_version(ssl))) {
        return trl_epoch(watch->next) == TRL_DATA_EPOCH
               ? NULL : "no record was sent with the keys";
    }

    /* a record was read from the BIO, or a part of one */

    if (watch->received != watch->taken || SSL_pending(ssl)
        || SSL_has_pending(ssl))
    {
        return "records were read after the handshake";
    }

    return NULL;
}


static const char *
trl_freeze_tls13(SSL *ssl, const trl_watch_t *watch, trl_state_t *state)
{
    size_t          size;
    const uint8_t  *read_secret, *write_secret;

    size = trl_hash_size(trl_state_hash(state));

    if (watch->client_len != size || watch->server_len != size
        || watch->exporter_len != size)
    {
        return "no secrets were logged";
    }

    if (SSL_is_server(ssl)) {
        read_secret = watch->client_secret;
        write_secret = watch->server_secret;

    } else {
        read_secret = watch->server_secret;
        write_secret = watch->client_secret;
    }

    memcpy(state->u.tls13.read_secret, read_secret, size);
    memcpy(state->u.tls13.write_secret, write_secret, size);
    memcpy(state->u.tls13.exporter_secret, watch->exporter_secret, size);

    if (trl_traffic_key(state, read_secret, &state->read) == -1
        || trl_traffic_key(state, write_secret, &state->write) == -1)
    {
        return "cannot derive traffic keys";
    }

    state->write.seq = watch->sent;

    return NULL;
}


/* RFC 5246, section 6.3 */

static const char *
trl_freeze_tls12(SSL *ssl, const trl_watch_t *watch, trl_state_t *state)
{
    size_t       key, iv;
    uint8_t      block[2 * (TRL_MAX_KEY + TRL_MAX_IV)];
    uint8_t     *master;
    trl_key_t   *client, *server;
    trl_seed_t   seeds[3];

    master = state->u.tls12.master_secret;

    if (SSL_SESSION_get_master_key(SSL_get_session(ssl), master,
                                   TRL_MASTER_SECRET)
        != TRL_MASTER_SECRET)
    {
        return "no master secret";
    }

    SSL_get_client_random(ssl, state->u.tls12.client_random, TRL_RANDOM);
    SSL_get_server_random(ssl, state->u.tls12.server_random, TRL_RANDOM);

    seeds[0].data = (const uint8_t *) "key expansion";
    seeds[0].len = sizeof("key expansion") - 1;
    seeds[1].data = state->u.tls12.server_random;
    seeds[1].len = TRL_RANDOM;
    seeds[2].data = state->u.tls12.client_random;
    seeds[2].len = TRL_RANDOM;

    key = trl_aead_key_size(state->aead);
    iv = trl_aead_iv_size(state->aead, state->protocol);

    if (trl_tls12_prf(state, seeds, 3, block, 2 * (key + iv)) == -1) {
        OPENSSL_cleanse(block, sizeof(block));
        return "cannot derive traffic keys";
    }

    client = SSL_is_server(ssl) ? &state->read : &state->write;
    server = SSL_is_server(ssl) ? &state->write : &state->read;

    memcpy(client->key, block, key);
    memcpy(server->key, block + key, key);
    memcpy(client->iv, block + 2 * key, iv);
    memcpy(server->iv, block + 2 * key + iv, iv);

    OPENSSL_cleanse(block, sizeof(block));

    if (trl_is_datagram(state->protocol)) {
        state->read.seq = (uint64_t) TRL_DATA_EPOCH << 48;
        state->write.seq = watch->next;

        return NULL;
    }

    state->read.seq = watch->received;
    state->write.seq = watch->sent;

    return NULL;
}


uint64_t
trl_state_limit(const trl_state_t *state)
{
    uint64_t  limit, epoch;

    limit = trl_aead_limit(state->aead);
    epoch = trl_epoch_number(UINT64_MAX);

    return (trl_is_datagram(state->protocol) && limit > epoch) ? epoch : limit;
}


int
trl_state_update_read(trl_state_t *state)
{
    return trl_state_update(state, state->u.tls13.read_secret, &state->read);
}


int
trl_state_update_write(trl_state_t *state)
{
    return trl_state_update(state, state->u.tls13.write_secret,
                            &state->write);
}


static int
trl_state_update(const trl_state_t *state, uint8_t *secret, trl_key_t *key)
{
    int        rc;
    uint8_t    next[TRL_MAX_SECRET];
    trl_key_t  next_key;

    static const trl_label_t  label = trl_label("traffic upd");

    if (state->protocol != TRL_TLSv1_3) {
        return -1;
    }

    rc = -1;

    if (trl_hkdf_expand_label(state, secret, &label, NULL, next,
                              trl_hash_size(trl_state_hash(state)))
        == -1)
    {
        goto failed;
    }

    if (trl_traffic_key(state, next, &next_key) == -1) {
        goto failed;
    }

    memcpy(secret, next, trl_hash_size(trl_state_hash(state)));
    memcpy(key, &next_key, sizeof(trl_key_t));

    rc = 0;

failed:

    OPENSSL_cleanse(next, sizeof(next));
    OPENSSL_cleanse(&next_key, sizeof(next_key));

    return rc;
}


/* RFC 8446, section 7.3 */

static int
trl_traffic_key(const trl_state_t *state, const uint8_t *secret,
    trl_key_t *key)
{
    static const trl_label_t  key_label = trl_label("key");
    static const trl_label_t  iv_label = trl_label("iv");

    memset(key, 0, sizeof(trl_key_t));

    if (trl_hkdf_expand_label(state, secret, &key_label, NULL, key->key,
                              trl_aead_key_size(state->aead))
        == -1)
    {
        return -1;
    }

    return trl_hkdf_expand_label(state, secret, &iv_label, NULL, key->iv,
                                 TRL_MAX_IV);
}
