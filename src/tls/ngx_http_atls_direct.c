
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_associations.h"
#include "ngx_http_atls_association.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_direct.h"
#include "ngx_http_atls_direct_tls12.h"
#include "ngx_http_atls_hello.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_sni.h"

#include <openssl/rand.h>


/* The maximum number of identities in a ClientHello that are decrypted. */

#define NGX_HTTP_ATLS_DIRECT_IDENTITIES  4


/* The association offered last on a connection. */

typedef struct {
    ngx_http_atls_association_t   association;
    ngx_connection_t             *connection;
    ngx_http_core_srv_conf_t     *server;      /* selected by SNI */
    ngx_http_atls_loc_conf_t     *conf;        /* of this server */
    ngx_shm_zone_t               *zone;
    ngx_str_t                     identity;    /* empty: none is acceptable */
    u_char                        name[NGX_HTTP_ATLS_ASSOCIATION_SERVER];
                                               /* hash of SNI */
    ngx_uint_t                    tries;
    ngx_uint_t                    refused;     /* why; 0: none was */
    unsigned                      given:1;     /* OpenSSL has got the key */
    unsigned                      used:1;      /* by a request */
    unsigned                      lost:1;      /* to another connection */
    unsigned                      counted:1;
} ngx_http_atls_direct_t;


static void ngx_http_atls_direct_init_addr(ngx_conf_t *cf,
    ngx_http_conf_addr_t *addr);
static void ngx_http_atls_direct_init_server(ngx_http_core_srv_conf_t *server);
static void ngx_http_atls_direct_warn(ngx_conf_t *cf,
    ngx_http_conf_addr_t *addr, ngx_http_core_srv_conf_t *server);
static SSL_CTX *ngx_http_atls_direct_ctx(ngx_http_core_srv_conf_t *server,
    SSL_CTX *ctx);
static int ngx_http_atls_direct_client_hello(ngx_ssl_conn_t *ssl, int *ad,
    void *arg);
static ngx_int_t ngx_http_atls_direct_offer(ngx_ssl_conn_t *ssl);
static ngx_http_core_srv_conf_t *ngx_http_atls_direct_server(
    ngx_connection_t *c, ngx_str_t *name);
static ngx_http_atls_direct_t *ngx_http_atls_direct_create(ngx_ssl_conn_t *ssl,
    ngx_connection_t *c);
static void ngx_http_atls_direct_cleanup(void *data);
static ngx_uint_t ngx_http_atls_direct_try(void *data, ngx_str_t *identity);
static ngx_uint_t ngx_http_atls_direct_open(ngx_http_atls_direct_t *direct,
    ngx_str_t *identity);
static ngx_uint_t ngx_http_atls_direct_acceptable(
    ngx_http_atls_direct_t *direct, ngx_log_t *log);
static int ngx_http_atls_direct_find_session(ngx_ssl_conn_t *ssl,
    const u_char *identity, size_t len, SSL_SESSION **session);
static unsigned int ngx_http_atls_direct_tls12(ngx_ssl_conn_t *ssl,
    const char *identity, u_char *key, unsigned int max);
static void ngx_http_atls_direct_info(const ngx_ssl_conn_t *ssl, int where,
    int ret);
static ngx_http_atls_direct_t *ngx_http_atls_direct_find(
    const ngx_ssl_conn_t *ssl);
static ngx_http_atls_direct_t *ngx_http_atls_direct_get(ngx_connection_t *c);
static void ngx_http_atls_direct_count(ngx_http_atls_direct_t *direct,
    ngx_uint_t result);


void
ngx_http_atls_direct_init(ngx_conf_t *cf)
{
    ngx_uint_t                  i, j;
    ngx_http_conf_addr_t       *addr;
    ngx_http_conf_port_t       *port;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (cmcf->ports == NULL) {
        return;
    }

    port = cmcf->ports->elts;

    for (i = 0; i < cmcf->ports->nelts; i++) {

        addr = port[i].addrs.elts;

        for (j = 0; j < port[i].addrs.nelts; j++) {
            ngx_http_atls_direct_init_addr(cf, &addr[j]);
        }
    }
}


/*
 * An SSL is created with the SSL_CTX of the default server.  When another
 * server was selected, its SSL_CTX has the callback for the second ClientHello,
 * after a HelloRetryRequest; those for keys are always callbacks of the SSL.
 */

static void
ngx_http_atls_direct_init_addr(ngx_conf_t *cf, ngx_http_conf_addr_t *addr)
{
    ngx_uint_t                  i, accept;
    ngx_http_ssl_srv_conf_t    *sscf;
    ngx_http_core_srv_conf_t  **server;
    ngx_http_atls_loc_conf_t   *alcf;

    sscf = addr->default_server->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

    if (sscf->ssl.ctx == NULL) {
        return;
    }

    accept = 0;
    server = addr->servers.elts;

    for (i = 0; i < addr->servers.nelts; i++) {
        alcf = server[i]->ctx->loc_conf[ngx_http_atls_module.ctx_index];

        if (alcf->association_accept) {
            ngx_http_atls_direct_init_server(server[i]);
            ngx_http_atls_direct_warn(cf, addr, server[i]);
            accept = 1;
        }
    }

    if (accept) {
        ngx_http_atls_direct_init_server(addr->default_server);
    }
}


static void
ngx_http_atls_direct_init_server(ngx_http_core_srv_conf_t *server)
{
    ngx_http_ssl_srv_conf_t  *sscf;

    sscf = server->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

    if (sscf->ssl.ctx) {
        SSL_CTX_set_client_hello_cb(sscf->ssl.ctx,
                                    ngx_http_atls_direct_client_hello, NULL);
    }
}


static void
ngx_http_atls_direct_warn(ngx_conf_t *cf, ngx_http_conf_addr_t *addr,
    ngx_http_core_srv_conf_t *server)
{
    SSL_CTX                   *ctx;
    ngx_http_ssl_srv_conf_t   *sscf;
    ngx_http_core_srv_conf_t  *cscf;
    ngx_http_atls_loc_conf_t  *alcf;

    sscf = addr->default_server->ctx->srv_conf[ngx_http_ssl_module.ctx_index];
    ctx = ngx_http_atls_direct_ctx(server, sscf->ssl.ctx);

    cscf = ngx_http_atls_core_protocols(addr, server);
    sscf = cscf->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

    if (!addr->opt.ssl
        || (sscf->protocols & NGX_SSL_TLSv1_3)
        || ((sscf->protocols & NGX_SSL_TLSv1_2)
            && ngx_http_atls_direct_tls12_suite(ctx)))
    {
        return;
    }

    alcf = server->ctx->loc_conf[ngx_http_atls_module.ctx_index];

    ngx_http_atls_note_log(NGX_LOG_WARN, cf, alcf, "atls_association_accept",
                           "\"atls_association_accept\" has no effect on %V, "
                           "it requires TLSv1.3, or TLSv1.2 with "
                           "ECDHE-PSK-CHACHA20-POLY1305",
                           &addr->opt.addr_text);
}


/* Core also keeps the SSL_CTX of the default server if there is no other. */

static SSL_CTX *
ngx_http_atls_direct_ctx(ngx_http_core_srv_conf_t *server, SSL_CTX *ctx)
{
    ngx_http_ssl_srv_conf_t  *sscf;

    sscf = server->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

    return sscf->ssl.ctx ? sscf->ssl.ctx : ctx;
}


/*
 * This callback replaces that of core, which selects the server, and must be
 * called first.
 */

static int
ngx_http_atls_direct_client_hello(ngx_ssl_conn_t *ssl, int *ad, void *arg)
{
    int  rc;

    rc = ngx_http_atls_core_client_hello(ssl, ad, arg);

    if (rc != SSL_CLIENT_HELLO_SUCCESS) {
        return rc;
    }

    if (ngx_http_atls_direct_offer(ssl) == NGX_ERROR) {
        *ad = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }

    return SSL_CLIENT_HELLO_SUCCESS;
}


/*
 * If an acceptable association is offered, its key is used; otherwise, nothing
 * is changed.  Called again after a HelloRetryRequest: what was offered before
 * no longer matters.  In TLS 1.2, the identity is sent later; the callback for
 * it does nothing in TLS 1.3.
 */

static ngx_int_t
ngx_http_atls_direct_offer(ngx_ssl_conn_t *ssl)
{
    ngx_int_t                  rc;
    ngx_str_t                  name;
    ngx_connection_t          *c;
    ngx_http_atls_direct_t    *direct;
    ngx_http_core_srv_conf_t  *server;
    ngx_http_atls_loc_conf_t  *alcf;

    c = ngx_ssl_get_connection(ssl);
    direct = ngx_http_atls_direct_find(ssl);

    if (direct) {
        direct->given = 0;
        direct->identity.len = 0;
        SSL_set_psk_find_session_callback(ssl, NULL);
    }

    if (SSL_is_dtls(ssl)
        || c->ssl->handshaked
        || ngx_http_atls_sni_client_hello(ssl, &name) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    server = ngx_http_atls_direct_server(c, &name);
    alcf = server->ctx->loc_conf[ngx_http_atls_module.ctx_index];

    if (!alcf->association_accept) {
        return NGX_DECLINED;
    }

    if (direct == NULL) {
        direct = ngx_http_atls_direct_create(ssl, c);
        if (direct == NULL) {
            return NGX_ERROR;
        }
    }

    direct->server = server;
    direct->conf = alcf;
    direct->tries = 0;
    direct->refused = 0;

    if (ngx_http_atls_association_name(&direct->association, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    /* in TLS 1.2, the ClientHello is no longer there when it is compared */

    ngx_memcpy(direct->name, direct->association.server,
               NGX_HTTP_ATLS_ASSOCIATION_SERVER);

    ngx_http_atls_direct_tls12_offer(ssl,
                      ngx_http_atls_direct_ctx(server, SSL_get_SSL_CTX(ssl)),
                      ngx_http_atls_direct_tls12);

    if (!ngx_http_atls_hello_has_tls13(ssl)
        || !ngx_http_atls_hello_find_psk(ssl, ngx_http_atls_direct_try, direct))
    {
        if (direct->refused) {
            ngx_http_atls_direct_count(direct, direct->refused);
        }

        return NGX_DECLINED;
    }

    rc = ngx_http_atls_hello_set_suites(ssl);

    if (rc != NGX_OK) {
        direct->identity.len = 0;
        ngx_http_atls_direct_cleanup(direct);
        ngx_http_atls_direct_count(direct,
                                   ngx_http_atls_association_cipher_suite);
        return rc;
    }

    SSL_set_psk_find_session_callback(ssl, ngx_http_atls_direct_find_session);

    /* only with an ephemeral key exchange: RFC 9257, section 6 */

    SSL_clear_options(ssl, SSL_OP_ALLOW_NO_DHE_KEX);

    return NGX_OK;
}


/* Core selects the server in the same way, but in old versions later. */

static ngx_http_core_srv_conf_t *
ngx_http_atls_direct_server(ngx_connection_t *c, ngx_str_t *name)
{
    ngx_http_connection_t     *hc;
    ngx_http_core_srv_conf_t  *server;

    hc = c->data;
    server = NULL;

    if (name->len && hc->addr_conf->virtual_names) {
        server = ngx_http_atls_sni_find(hc->addr_conf->virtual_names, name,
                                        c->log);
    }

    return server ? server : hc->addr_conf->default_server;
}


static ngx_http_atls_direct_t *
ngx_http_atls_direct_create(ngx_ssl_conn_t *ssl, ngx_connection_t *c)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_atls_direct_t     *direct;
    ngx_http_connection_t      *hc;
    ngx_http_conf_ctx_t        *ctx;
    ngx_http_atls_main_conf_t  *amcf;

    cln = ngx_pool_cleanup_add(c->pool, sizeof(ngx_http_atls_direct_t));
    if (cln == NULL) {
        return NULL;
    }

    hc = c->data;
    ctx = hc->addr_conf->default_server->ctx;
    amcf = ctx->main_conf[ngx_http_atls_module.ctx_index];

    direct = cln->data;
    ngx_memzero(direct, sizeof(ngx_http_atls_direct_t));

    direct->connection = c;
    direct->zone = amcf->associations;

    cln->handler = ngx_http_atls_direct_cleanup;

    return direct;
}


static void
ngx_http_atls_direct_cleanup(void *data)
{
    ngx_http_atls_direct_t *direct = data;

    ngx_explicit_memzero(direct->association.key,
                         NGX_HTTP_ATLS_ASSOCIATION_KEY);
}


static ngx_uint_t
ngx_http_atls_direct_try(void *data, ngx_str_t *identity)
{
    ngx_http_atls_direct_t *direct = data;

    ngx_connection_t  *c;

    c = direct->connection;

    if (direct->tries++ == NGX_HTTP_ATLS_DIRECT_IDENTITIES) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0,
                       "atls association: too many identities");
    }

    if (direct->tries > NGX_HTTP_ATLS_DIRECT_IDENTITIES) {
        return 0;
    }

    if (!ngx_http_atls_direct_open(direct, identity)) {
        return 0;
    }

    direct->identity.data = ngx_pstrdup(c->pool, identity);

    if (direct->identity.data == NULL) {
        ngx_http_atls_direct_cleanup(direct);
        return 0;
    }

    direct->identity.len = identity->len;

    return 1;
}


/* If the association is acceptable, its key must be wiped by the caller. */

static ngx_uint_t
ngx_http_atls_direct_open(ngx_http_atls_direct_t *direct, ngx_str_t *identity)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = direct->connection;

    rc = ngx_http_atls_association_open(&direct->association, direct->conf,
                                        direct->zone, identity, c->pool);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls association offered, identity of %uz bytes, "
                   "opened:%d", identity->len, rc == NGX_OK);

    if (rc == NGX_ERROR) {
        direct->refused = ngx_http_atls_association_unknown_key;
    }

    if (rc == NGX_OK && ngx_http_atls_direct_acceptable(direct, c->log)) {
        return 1;
    }

    ngx_http_atls_direct_cleanup(direct);

    return 0;
}


/*
 * The client was verified according to a policy, as a client of this server
 * name, and until the association expires.
 */

static ngx_uint_t
ngx_http_atls_direct_acceptable(ngx_http_atls_direct_t *direct, ngx_log_t *log)
{
    const char                   *reason;
    ngx_http_atls_association_t  *association;

    association = &direct->association;

    if (ngx_memcmp(direct->name, association->server,
                   NGX_HTTP_ATLS_ASSOCIATION_SERVER)
        != 0)
    {
        direct->refused = ngx_http_atls_association_other_server;
        reason = "server name";

    } else if (association->expires <= ngx_time()) {
        direct->refused = ngx_http_atls_association_expired;
        reason = "expired";

    } else if (association->policy == 0
               || association->policy
                  != ngx_http_atls_identity_accepted(&association->identity,
                                                     direct->conf)
               || ngx_http_atls_identity_check(direct->conf,
                                               &association->identity,
                                               association->verify_error, log)
                  != NGX_OK)
    {
        direct->refused = ngx_http_atls_association_policy;
        reason = "policy";

    } else if (!ngx_http_atls_associations_unused(direct->zone,
                                                  &association->once, 0))
    {
        direct->refused = ngx_http_atls_association_already_used;
        reason = "used";

    } else {
        reason = NULL;
    }

    if (reason == NULL) {
        return 1;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls association is not accepted: %s", reason);

    return 0;
}


/*
 * The suite of the handshake is already selected by OpenSSL.  If the key was
 * given, but the client does not have it, the handshake fails.
 *
 * The key is given once, and wiped: whatever is offered in a second ClientHello
 * must have been examined again.
 */

static int
ngx_http_atls_direct_find_session(ngx_ssl_conn_t *ssl, const u_char *identity,
    size_t len, SSL_SESSION **session)
{
    const SSL_CIPHER        *cipher;
    ngx_http_atls_direct_t  *direct;

    *session = NULL;

    direct = ngx_http_atls_direct_find(ssl);

    if (direct == NULL) {
        return 1;
    }

    direct->given = 0;

    cipher = SSL_get_pending_cipher(ssl);

    if (direct->identity.len == 0
        || direct->identity.len != len
        || ngx_memcmp(direct->identity.data, identity, len) != 0
        || cipher == NULL
        || !ngx_http_atls_hello_suitable(cipher))
    {
        return 1;
    }

    *session = ngx_http_atls_hello_session(direct->association.key,
                                           NGX_HTTP_ATLS_ASSOCIATION_KEY,
                                           cipher);

    direct->identity.len = 0;
    ngx_http_atls_direct_cleanup(direct);

    if (*session == NULL) {
        return 0;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, direct->connection->log, 0,
                   "atls association, suite:%s", SSL_CIPHER_get_name(cipher));

    direct->given = 1;

    /*
     * No resumption, which would outlive the association, and no early data,
     * which can be replayed.
     */

    SSL_set_num_tickets(ssl, 0);
    SSL_set_max_early_data(ssl, 0);

    SSL_set_info_callback(ssl, ngx_http_atls_direct_info);

    return 1;
}


/*
 * TLS 1.2.  There is no way back to a certificate.  If the association is not
 * acceptable, the key is random, so the handshake fails as with another key
 * (RFC 4279, section 2), and core logs this as a fault of the client.
 */

static unsigned int
ngx_http_atls_direct_tls12(ngx_ssl_conn_t *ssl, const char *identity,
    u_char *key, unsigned int max)
{
    ngx_str_t                text;
    ngx_http_atls_direct_t  *direct;

    direct = ngx_http_atls_direct_find(ssl);

    if (direct == NULL
        || max < NGX_HTTP_ATLS_ASSOCIATION_KEY
        || !ngx_http_atls_direct_tls12_selected(ssl))
    {
        return 0;
    }

    direct->given = 0;

    text.data = (u_char *) identity;
    text.len = ngx_strlen(identity);

    if (ngx_http_atls_direct_open(direct, &text)) {

        direct->given = ngx_http_atls_direct_tls12_key(direct->association.key,
                                                       key)
                        == NGX_OK;

        ngx_http_atls_direct_cleanup(direct);

    } else if (direct->refused) {
        ngx_http_atls_direct_count(direct, direct->refused);
    }

    if (!direct->given
        && RAND_bytes(key, NGX_HTTP_ATLS_ASSOCIATION_KEY) != 1)
    {
        return 0;
    }

    return NGX_HTTP_ATLS_ASSOCIATION_KEY;
}


/*
 * To OpenSSL, the certificate of the client is one that was not verified, and
 * core would reject requests with "ssl_verify_client optional".  There is none,
 * as for other clients without a certificate; "ssl_verify_client on" is not
 * met.  The callback of the SSL is used instead of core's, that of the SSL_CTX,
 * which it calls.
 */

static void
ngx_http_atls_direct_info(const ngx_ssl_conn_t *ssl, int where, int ret)
{
    void              (*info)(const SSL *ssl, int where, int ret);
    ngx_connection_t   *c;

    info = SSL_CTX_get_info_callback(SSL_get_SSL_CTX(ssl));

    if (info) {
        info(ssl, where, ret);
    }

    c = ngx_ssl_get_connection(ssl);

    if ((where & SSL_CB_HANDSHAKE_DONE) && ngx_http_atls_direct_get(c)) {
        SSL_set_verify_result(c->ssl->connection, X509_V_OK);
    }
}


static ngx_http_atls_direct_t *
ngx_http_atls_direct_find(const ngx_ssl_conn_t *ssl)
{
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;

    c = ngx_ssl_get_connection(ssl);

    for (cln = c->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_atls_direct_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


/* After an error, OpenSSL no longer tells that the handshake was complete. */

static ngx_http_atls_direct_t *
ngx_http_atls_direct_get(ngx_connection_t *c)
{
    ngx_ssl_conn_t          *ssl;
    ngx_http_atls_direct_t  *direct;

    if (c->ssl == NULL) {
        return NULL;
    }

    ssl = c->ssl->connection;
    direct = ngx_http_atls_direct_find(ssl);

    return direct && direct->given
           && (direct->used || direct->lost
               || SSL_session_reused(ssl)
               || ngx_http_atls_direct_tls12_complete(ssl))
           ? direct : NULL;
}


ngx_http_atls_identity_t *
ngx_http_atls_direct_identity(ngx_connection_t *c)
{
    ngx_http_atls_direct_t  *direct;

    direct = ngx_http_atls_direct_get(c);

    return direct && direct->used ? &direct->association.identity : NULL;
}


/*
 * An association may be offered on several connections at the same time.  If it
 * was offered by somebody without the key, the handshake has failed, so it is
 * used up here.
 */

ngx_int_t
ngx_http_atls_direct_check(ngx_http_request_t *r)
{
    ngx_uint_t                 result;
    const char                *reason;
    ngx_http_atls_direct_t    *direct;
    ngx_http_core_srv_conf_t  *cscf;

    direct = ngx_http_atls_direct_get(r->connection);

    if (direct == NULL) {
        return NGX_DECLINED;
    }

    if (!direct->used && !direct->lost) {

        if (ngx_http_atls_associations_unused(direct->zone,
                                              &direct->association.once, 1))
        {
            direct->used = 1;

        } else {
            direct->lost = 1;
        }
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    if (direct->lost) {
        result = ngx_http_atls_association_already_used;
        reason = "was already used";

    } else if (direct->association.expires <= ngx_time()) {
        result = ngx_http_atls_association_expired;
        reason = "has expired";

    } else if (cscf != direct->server) {
        result = ngx_http_atls_association_other_server;
        reason = "is for another server";

    } else {
        result = ngx_http_atls_association_accepted;
        reason = NULL;
    }

    ngx_http_atls_direct_count(direct, result);

    if (reason == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "atls association of the client %s", reason);

    return NGX_HTTP_MISDIRECTED_REQUEST;
}


/*
 * Each connection is counted once: there may be a second ClientHello, and more
 * requests.  Without endpoints and atls_status, there are no counters.
 */

static void
ngx_http_atls_direct_count(ngx_http_atls_direct_t *direct, ngx_uint_t result)
{
    if (direct->counted) {
        return;
    }

    direct->counted = 1;

    if (ngx_http_atls_process.counters) {
        ngx_http_atls_count(associations[result]);
    }
}
