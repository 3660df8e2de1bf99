
/*
 * Associations of services, see association.h.
 *
 * In the file, an association is a text: the time when it expires, whether it
 * is reusable, the key in hex, and the identity.
 */


#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>

#include "../../lib/hex.h"
#include "../base/util.h"
#include "association.h"


#define CMD_ASSOCIATION_SIZE    (CMD_ASSOCIATION_IDENTITY + 128)
#define CMD_ASSOCIATION_SUITE   "ECDHE-PSK-CHACHA20-POLY1305"
#define CMD_ASSOCIATION_TLS12   "atls association TLS 1.2"


static int cmd_association_parse(cmd_association_t *association, char *text);
static int cmd_association_suite(SSL_CTX *ctx);
static int cmd_association_session(SSL *ssl, const EVP_MD *md,
    const unsigned char **id, size_t *len, SSL_SESSION **session);
static SSL_SESSION *cmd_association_new(SSL *ssl,
    const cmd_association_t *association);
static unsigned cmd_association_tls12(SSL *ssl, const char *hint,
    char *identity, unsigned identity_size, unsigned char *key,
    unsigned key_size);
static int cmd_association_verify(X509_STORE_CTX *ctx, void *data);
static int cmd_association_index(void);


void
cmd_association_put(const atls_store_t *store, const char *origin,
    const cmd_association_t *association)
{
    char  *text;
    char   key[2 * CMD_ASSOCIATION_KEY + 1];

    atls_hex(key, association->key, CMD_ASSOCIATION_KEY);

    text = cmd_format("%" PRId64 " %d %s %s", association->expires,
                      association->reusable, key, association->identity);

    store->put(store->data, origin, text, strlen(text));

    OPENSSL_cleanse(key, sizeof(key));
    cmd_wipe(text);
}


int
cmd_association_take(const atls_store_t *store, const char *origin,
    cmd_association_t *association)
{
    int      found;
    char    *text;
    size_t   n;

    text = cmd_alloc(CMD_ASSOCIATION_SIZE);
    found = 0;

    do {
        n = store->take(store->data, origin, text, CMD_ASSOCIATION_SIZE - 1);
        text[n] = '\0';

        if (n && cmd_association_parse(association, text) == 0) {
            found = association->expires > (int64_t) time(NULL);

            if (!found) {
                cmd_association_free(association);
            }
        }

    } while (n && !found);

    OPENSSL_cleanse(text, CMD_ASSOCIATION_SIZE);
    free(text);

    if (found && association->reusable) {
        cmd_association_put(store, origin, association);
    }

    return found ? 0 : -1;
}


static int
cmd_association_parse(cmd_association_t *association, char *text)
{
    char    *p, *key;
    size_t   n;

    association->expires = strtoll(text, &p, 10);
    association->reusable = (int) strtol(p, &p, 10);

    if (*p != ' ') {
        return -1;
    }

    key = p + 1;
    p = strchr(key, ' ');

    if (p == NULL) {
        return -1;
    }

    *p++ = '\0';

    if (OPENSSL_hexstr2buf_ex(association->key, CMD_ASSOCIATION_KEY, &n, key,
                              '\0')
        != 1
        || n != CMD_ASSOCIATION_KEY)
    {
        ERR_clear_error();
        return -1;
    }

    association->identity = cmd_copy(p, strlen(p));

    return 0;
}


int
cmd_association_use(SSL_CTX *ctx, cmd_association_t *association, int suites)
{
    int  index;

    index = cmd_association_index();

    if (index == -1 || SSL_CTX_set_ex_data(ctx, index, association) != 1) {
        return -1;
    }

    /*
     * There is no key exchange without a certificate in TLS 1.3 but that of a
     * pre-shared key, and the only suite of TLS 1.2 has none, so no other
     * server is accepted.  OpenSSL may be built without this suite.
     */

    if (strlen(association->identity) > PSK_MAX_IDENTITY_LEN
        || (suites && !cmd_association_suite(ctx))
        || SSL_CTX_set_cipher_list(ctx, CMD_ASSOCIATION_SUITE) != 1)
    {
        ERR_clear_error();

        if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1) {
            return -1;
        }
    }

    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_psk_client_callback(ctx, cmd_association_tls12);
    SSL_CTX_set_psk_use_session_callback(ctx, cmd_association_session);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, cmd_association_verify, NULL);

    return 0;
}


static int
cmd_association_suite(SSL_CTX *ctx)
{
    int                    i;
    STACK_OF(SSL_CIPHER)  *ciphers;

    ciphers = SSL_CTX_get_ciphers(ctx);

    for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        if (strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)),
                   CMD_ASSOCIATION_SUITE)
            == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* Called again after a HelloRetryRequest, with the hash of the suite. */

static int
cmd_association_session(SSL *ssl, const EVP_MD *md, const unsigned char **id,
    size_t *len, SSL_SESSION **session)
{
    cmd_association_t  *association;

    *id = NULL;
    *len = 0;
    *session = NULL;

    association = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl),
                                      cmd_association_index());

    if (association == NULL || association->identity == NULL
        || (md && EVP_MD_get_type(md) != NID_sha256))
    {
        return 1;
    }

    *session = cmd_association_new(ssl, association);

    if (*session == NULL) {
        return 0;
    }

    *id = (const unsigned char *) association->identity;
    *len = strlen(association->identity);

    return 1;
}


/* The suite only tells the hash: RFC 8446, section 4.2.11. */

static SSL_SESSION *
cmd_association_new(SSL *ssl, const cmd_association_t *association)
{
    SSL_SESSION       *session;
    const SSL_CIPHER  *cipher;

    static const unsigned char  aes_128_gcm_sha256[] = { 0x13, 0x01 };

    cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
    session = SSL_SESSION_new();

    if (cipher == NULL || session == NULL
        || SSL_SESSION_set1_master_key(session, association->key,
                                       CMD_ASSOCIATION_KEY)
           != 1
        || SSL_SESSION_set_cipher(session, cipher) != 1
        || SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1)
    {
        SSL_SESSION_free(session);
        return NULL;
    }

    return session;
}


/*
 * In TLS 1.3, called for a ClientHello if the other callback has no session for
 * it: after a HelloRetryRequest with a suite of another hash.
 */

static unsigned
cmd_association_tls12(SSL *ssl, const char *hint, char *identity,
    unsigned identity_size, unsigned char *key, unsigned key_size)
{
    size_t              n;
    cmd_association_t  *association;

    (void) hint;

    association = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl),
                                      cmd_association_index());

    if (SSL_version(ssl) != TLS1_2_VERSION
        || association == NULL || association->identity == NULL)
    {
        return 0;
    }

    n = strlen(association->identity);

    if (n > identity_size || key_size < CMD_ASSOCIATION_KEY
        || HMAC(EVP_sha256(), association->key, CMD_ASSOCIATION_KEY,
                (const unsigned char *) CMD_ASSOCIATION_TLS12,
                sizeof(CMD_ASSOCIATION_TLS12) - 1, key, NULL)
           == NULL)
    {
        return 0;
    }

    /* there is room for a null byte, which is not counted */

    memcpy(identity, association->identity, n + 1);

    return CMD_ASSOCIATION_KEY;
}


/* The server has no key, or does not accept the association. */

static int
cmd_association_verify(X509_STORE_CTX *ctx, void *data)
{
    (void) data;

    X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);

    return 0;
}


/*
 * RFC 7627, section 5.2: a client may require extended master secret.  Without
 * it, the server does not accept the association, and the client is nobody.
 */

const char *
cmd_association_unused(SSL *ssl)
{
    if (SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), cmd_association_index())
        == NULL
        || SSL_get0_peer_certificate(ssl))
    {
        return "the association is not used";
    }

    if (SSL_version(ssl) == TLS1_2_VERSION && SSL_get_extms_support(ssl) != 1) {
        return "the server does not support extended master secret";
    }

    return NULL;
}


static int
cmd_association_index(void)
{
    static int  index = -1;

    if (index == -1) {
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }

    return index;
}


void
cmd_association_free(cmd_association_t *association)
{
    cmd_wipe(association->identity);
    OPENSSL_cleanse(association, sizeof(cmd_association_t));
}
