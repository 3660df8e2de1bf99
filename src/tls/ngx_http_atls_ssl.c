
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_dtls.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_peer.h"
#include "ngx_http_atls_psk.h"
#include "ngx_http_atls_sni.h"
#include "ngx_http_atls_ssl.h"
#include "ngx_http_atls_ticket.h"


/* The protocols of ngx_http_ssl_module without HTTP/2. */

#define NGX_HTTP_ATLS_ALPN_PROTOS  "\x08http/1.1\x08http/1.0\x08http/0.9"


static ngx_int_t ngx_http_atls_ssl_create_one(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf, ngx_uint_t dtls);
static ngx_int_t ngx_http_atls_ssl_context(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf, ngx_uint_t dtls);
static ngx_int_t ngx_http_atls_ssl_certificates(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);
static ngx_int_t ngx_http_atls_ssl_clients(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);
static ngx_int_t ngx_http_atls_ssl_crypto(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);
static ngx_int_t ngx_http_atls_ssl_commands(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);
static ngx_int_t ngx_http_atls_ssl_check_ciphers(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);
static ngx_int_t ngx_http_atls_ssl_stapling(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);
static int ngx_http_atls_ssl_client_hello(ngx_ssl_conn_t *ssl, int *ad,
    void *arg);
static ngx_int_t ngx_http_atls_ssl_switch(ngx_ssl_conn_t *ssl,
    ngx_http_atls_loc_conf_t *alcf);
static int ngx_http_atls_ssl_alpn_select(ngx_ssl_conn_t *ssl,
    const unsigned char **out, unsigned char *outlen, const unsigned char *in,
    unsigned int inlen, void *arg);
static int ngx_http_atls_ssl_servername(ngx_ssl_conn_t *ssl, int *ad,
    void *arg);


static ngx_str_t  ngx_http_atls_ssl_sess_ctx = ngx_string("ATLS");


/* in the order of NGX_HTTP_ATLS_ALPN_PROTOS */

static ngx_str_t  ngx_http_atls_ssl_alpn_names[] = {
    ngx_null_string,
    ngx_string("http/1.1"),
    ngx_string("http/1.0"),
    ngx_string("http/0.9")
};


/* An SSL_CTX is either for TLS or for DTLS. */

ngx_int_t
ngx_http_atls_ssl_create(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    ngx_http_atls_main_conf_t  *amcf;

    if (alcf->protocols & NGX_HTTP_ATLS_DTLSv1_2) {

        if (ngx_http_atls_ssl_create_one(cf, alcf, 1) != NGX_OK) {
            return NGX_ERROR;
        }

        alcf->dtls = alcf->ssl;

        amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);
        amcf->dtls = 1;
    }

    return ngx_http_atls_ssl_create_one(cf, alcf, 0);
}


static ngx_int_t
ngx_http_atls_ssl_create_one(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf,
    ngx_uint_t dtls)
{
    if (ngx_http_atls_ssl_context(cf, alcf, dtls) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_atls_ssl_certificates(cf, alcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_atls_ssl_clients(cf, alcf) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * Sessions are resumed by tickets.  A session cache would be local to a
     * worker, so most of the time, the session would not be found.
     */

    if (ngx_ssl_session_cache(alcf->ssl, &ngx_http_atls_ssl_sess_ctx,
                              alcf->certificates, NGX_SSL_NO_SCACHE, NULL,
                              ngx_min(alcf->session_lifetime,
                                      NGX_HTTP_ATLS_TICKET_LIFETIME))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_atls_ticket_conf(cf, alcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_atls_ssl_stapling(cf, alcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_atls_ssl_crypto(cf, alcf);
}


ngx_int_t
ngx_http_atls_ssl_policy(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    /* a context is only needed for CA certificates */

    if (alcf->verify == NGX_HTTP_ATLS_VERIFY_OFF) {
        return ngx_http_atls_identity_policy(cf, alcf);
    }

    /* verification is inherited without CA certificates: nobody is accepted */

    if (alcf->verify != NGX_HTTP_ATLS_VERIFY_OPTIONAL_NO_CA
        && alcf->client_certificate.len == 0
        && alcf->trusted_certificate.len == 0)
    {
        return NGX_OK;
    }

    if (ngx_http_atls_ssl_context(cf, alcf, 0) != NGX_OK
        || ngx_http_atls_ssl_clients(cf, alcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* this context is not used in handshakes */

    alcf->ssl = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_ssl_context(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf,
    ngx_uint_t dtls)
{
    ngx_ssl_t                  *ssl;
    ngx_pool_cleanup_t         *cln;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);
    amcf->early_data |= alcf->early_data;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, alcf->protocols, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    alcf->ssl = ssl;

    if (dtls && ngx_http_atls_dtls_context(ssl) != NGX_OK) {
        return NGX_ERROR;
    }

    /* disables read ahead, which was enabled by ngx_ssl_create() */

    if (trl_watch_ctx(ssl->ctx) != 0) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0, "SSL_CTX set-up failed");
        return NGX_ERROR;
    }

    SSL_CTX_set_client_hello_cb(ssl->ctx,
                                ngx_http_atls_ssl_client_hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(ssl->ctx,
                                           ngx_http_atls_ssl_servername);
    SSL_CTX_set_alpn_select_cb(ssl->ctx, ngx_http_atls_ssl_alpn_select, NULL);

    return NGX_OK;
}


ngx_uint_t
ngx_http_atls_ssl_complete(ngx_http_atls_loc_conf_t *alcf)
{
    if (alcf->certificates == NULL) {
        return alcf->psks != NULL;
    }

    return alcf->certificate_keys
           && alcf->certificate_keys->nelts >= alcf->certificates->nelts;
}


static ngx_int_t
ngx_http_atls_ssl_certificates(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    ngx_str_t                 *cert, *key;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (alcf->certificates == NULL) {

        if (alcf->psks) {
            return NGX_OK;
        }

        ngx_http_atls_note_log(NGX_LOG_EMERG, cf, alcf, "atls",
                               "no \"atls_certificate\" is defined for "
                               "location \"%V\" with \"atls on\"",
                               &clcf->name);
        return NGX_ERROR;
    }

    cert = alcf->certificates->elts;

    if (!ngx_http_atls_ssl_complete(alcf)) {
        i = alcf->certificates->nelts - 1;

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"atls_certificate_key\" is defined for certificate "
                      "\"%V\" in location \"%V\"", &cert[i], &clcf->name);
        return ngx_http_atls_note_refuse(cf, alcf, "atls_certificate", i);
    }

    key = alcf->certificate_keys->elts;

    for (i = 0; i < alcf->certificates->nelts; i++) {

        if (ngx_ssl_certificate(cf, alcf->ssl, &cert[i], &key[i],
                                alcf->passwords)
            != NGX_OK)
        {
            return ngx_http_atls_note_refuse(cf, alcf, "atls_certificate", i);
        }

        /* ngx_ssl_certificate() accepts a key of a different type */

        if (SSL_CTX_check_private_key(alcf->ssl->ctx) != 1) {
            ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                          "key \"%V\" does not match certificate \"%V\"",
                          &key[i], &cert[i]);
            return ngx_http_atls_note_refuse(cf, alcf, "atls_certificate", i);
        }
    }

    return NGX_OK;
}


/* Authentication of clients. */

static ngx_int_t
ngx_http_atls_ssl_clients(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    if (alcf->verify) {

        if (alcf->verify != NGX_HTTP_ATLS_VERIFY_OPTIONAL_NO_CA
            && alcf->client_certificate.len == 0
            && alcf->trusted_certificate.len == 0)
        {
            ngx_http_atls_note_log(NGX_LOG_EMERG, cf, alcf,
                                   "atls_verify_client",
                                   "no \"atls_client_certificate\" or "
                                   "\"atls_trusted_certificate\" for "
                                   "\"atls_verify_client\"");
            return NGX_ERROR;
        }

        if (ngx_ssl_client_certificate(cf, alcf->ssl,
                                       &alcf->client_certificate,
                                       alcf->verify_depth)
            != NGX_OK)
        {
            return ngx_http_atls_note_refuse(cf, alcf,
                                             "atls_client_certificate", 0);
        }
    }

    if (ngx_ssl_trusted_certificate(cf, alcf->ssl, &alcf->trusted_certificate,
                                    alcf->verify_depth)
        != NGX_OK)
    {
        return ngx_http_atls_note_refuse(cf, alcf, "atls_trusted_certificate",
                                         0);
    }

    if (ngx_ssl_crl(cf, alcf->ssl, &alcf->crl) != NGX_OK) {
        return ngx_http_atls_note_refuse(cf, alcf, "atls_crl", 0);
    }

    if (ngx_http_atls_psk_conf(cf, alcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_atls_identity_policy(cf, alcf);
}


static ngx_int_t
ngx_http_atls_ssl_crypto(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    ngx_str_t  ciphers;

    ciphers = alcf->ciphers;

    if (ciphers.data == NULL) {
        if (alcf->psks) {
            ngx_str_set(&ciphers, NGX_HTTP_ATLS_PSK_CIPHERS);

        } else {
            ngx_str_set(&ciphers, NGX_HTTP_ATLS_CIPHERS);
        }
    }

    if (ngx_ssl_ciphers(cf, alcf->ssl, &ciphers, alcf->prefer_server_ciphers)
        != NGX_OK)
    {
        return ngx_http_atls_note_refuse(cf, alcf, "atls_ciphers", 0);
    }

    if (ngx_ssl_dhparam(cf, alcf->ssl, &alcf->dhparam) != NGX_OK) {
        return ngx_http_atls_note_refuse(cf, alcf, "atls_dhparam", 0);
    }

    if (ngx_ssl_ecdh_curve(cf, alcf->ssl, &alcf->ecdh_curve) != NGX_OK) {
        return ngx_http_atls_note_refuse(cf, alcf, "atls_ecdh_curve", 0);
    }

    if (ngx_http_atls_ssl_commands(cf, alcf) != NGX_OK) {
        return NGX_ERROR;
    }

    /* after the commands, which may also set ciphers */

    return ngx_http_atls_ssl_check_ciphers(cf, alcf);
}


/* Commands are set one by one, to log the invalid one. */

static ngx_int_t
ngx_http_atls_ssl_commands(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    ngx_uint_t     i;
    ngx_array_t    one;
    ngx_keyval_t  *command;

    if (alcf->conf_commands == NULL) {
        return NGX_OK;
    }

    one = *alcf->conf_commands;
    one.nelts = 1;

    command = alcf->conf_commands->elts;

    for (i = 0; i < alcf->conf_commands->nelts; i++) {

        one.elts = &command[i];

        if (ngx_ssl_conf_commands(cf, alcf->ssl, &one) != NGX_OK) {
            return ngx_http_atls_note_refuse(cf, alcf, "atls_conf_command", i);
        }
    }

    return NGX_OK;
}


/* Without an SSL, only records of AEAD suites are supported. */

static ngx_int_t
ngx_http_atls_ssl_check_ciphers(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    int                    i;
    const SSL_CIPHER      *cipher;
    STACK_OF(SSL_CIPHER)  *ciphers;

    ciphers = SSL_CTX_get_ciphers(alcf->ssl->ctx);

    for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {

        cipher = sk_SSL_CIPHER_value(ciphers, i);

        if (!trl_cipher_supported(cipher)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "cipher \"%s\" is not supported, use AES-GCM, "
                          "AES-CCM or ChaCha20-Poly1305",
                          SSL_CIPHER_get_name(cipher));
            return ngx_http_atls_note_refuse(cf, alcf, "atls_ciphers", 0);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_ssl_stapling(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (!alcf->stapling) {
        return NGX_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_ssl_stapling(cf, alcf->ssl, &alcf->stapling_file,
                         &alcf->stapling_responder, alcf->stapling_verify)
        != NGX_OK)
    {
        return ngx_http_atls_note_refuse(cf, alcf, "atls_stapling_file", 0);
    }

    return ngx_ssl_stapling_resolver(cf, alcf->ssl, clcf->resolver,
                                     clcf->resolver_timeout);
}


/*
 * The ClientHello callback is called before any extension is processed.  The
 * servername callback would be too late for tickets, which must be checked by
 * the selected server.
 */

static int
ngx_http_atls_ssl_client_hello(ngx_ssl_conn_t *ssl, int *ad, void *arg)
{
    ngx_str_t              name;
    ngx_connection_t      *c;
    ngx_http_atls_peer_t  *peer;

    peer = ngx_http_atls_peer_get(ssl);
    c = &peer->connection;

    if (ngx_http_atls_sni_client_hello(ssl, &name) != NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "atls client sent invalid server name");
        *ad = SSL_AD_DECODE_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }

    *ad = SSL_AD_INTERNAL_ERROR;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls ClientHello, version:%04xd, server name:\"%V\"",
                   (int) SSL_client_hello_get0_legacy_version(ssl), &name);

    if (name.len) {

        /* called again after a HelloRetryRequest */

        peer->sni.len = name.len;
        peer->sni.data = ngx_pstrdup(c->pool, &name);
        if (peer->sni.data == NULL) {
            return SSL_CLIENT_HELLO_ERROR;
        }

        ngx_http_atls_sni_select(&peer->target, &peer->sni, c->log);

        if (SSL_is_dtls(ssl) && peer->target.tls->dtls == NULL) {
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "atls client requested a server without DTLS");
            *ad = SSL_AD_PROTOCOL_VERSION;
            return SSL_CLIENT_HELLO_ERROR;
        }

        if (ngx_http_atls_ssl_switch(ssl, peer->target.tls) != NGX_OK) {
            ngx_ssl_error(NGX_LOG_ALERT, c->log, 0,
                          "SSL_set_SSL_CTX() failed");
            return SSL_CLIENT_HELLO_ERROR;
        }
    }

    if (ngx_http_atls_psk_client_hello(ssl, peer->target.tls->psks) != NGX_OK) {
        return SSL_CLIENT_HELLO_ERROR;
    }

    return SSL_CLIENT_HELLO_SUCCESS;
}


/*
 * Changes the certificate, protocols, ciphers and client verification of a
 * handshake to those of another configuration.  Groups are not changed: they
 * are copied from the SSL_CTX on SSL_new().
 */

static ngx_int_t
ngx_http_atls_ssl_switch(ngx_ssl_conn_t *ssl, ngx_http_atls_loc_conf_t *alcf)
{
    SSL_CTX  *ctx;

    ctx = SSL_is_dtls(ssl) ? alcf->dtls->ctx : alcf->ssl->ctx;

    if (SSL_get_SSL_CTX(ssl) == ctx) {
        return NGX_OK;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP,
                   ngx_http_atls_peer_get(ssl)->connection.log, 0,
                   "atls SSL_CTX switched");

    if (SSL_set_SSL_CTX(ssl, ctx) == NULL) {
        return NGX_ERROR;
    }

    /* SSL_set_SSL_CTX() only changes the certificates */

    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx),
                   SSL_CTX_get_verify_callback(ctx));
    SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(ctx));

    SSL_clear_options(ssl, SSL_get_options(ssl) & ~SSL_CTX_get_options(ctx));
    SSL_set_options(ssl, SSL_CTX_get_options(ctx)|SSL_OP_NO_RENEGOTIATION);

    ngx_http_atls_ticket_apply(ssl, alcf);

    if (SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(ctx)) != 1
        || SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(ctx))
           != 1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static int
ngx_http_atls_ssl_alpn_select(ngx_ssl_conn_t *ssl, const unsigned char **out,
    unsigned char *outlen, const unsigned char *in, unsigned int inlen,
    void *arg)
{
    ngx_http_atls_peer_t  *peer;

    peer = ngx_http_atls_peer_get(ssl);

    if (peer->target.conf->payload == NGX_HTTP_ATLS_PAYLOAD_RAW) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                       "atls ALPN ignored, raw payload");
        return SSL_TLSEXT_ERR_NOACK;
    }

    if (SSL_select_next_proto((unsigned char **) out, outlen,
                              (unsigned char *) NGX_HTTP_ATLS_ALPN_PROTOS,
                              sizeof(NGX_HTTP_ATLS_ALPN_PROTOS) - 1,
                              in, inlen)
        != OPENSSL_NPN_NEGOTIATED)
    {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                       "atls ALPN has no common protocol");
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                   "atls ALPN selected: \"%*s\"", (size_t) *outlen, *out);

    return SSL_TLSEXT_ERR_OK;
}


ngx_uint_t
ngx_http_atls_ssl_alpn(ngx_ssl_conn_t *ssl)
{
    ngx_str_t             *name;
    ngx_uint_t             i;
    unsigned int           len;
    const unsigned char   *data;

    SSL_get0_alpn_selected(ssl, &data, &len);

    for (i = 1; len && i < 4; i++) {
        name = &ngx_http_atls_ssl_alpn_names[i];

        if (name->len == len && ngx_memcmp(name->data, data, len) == 0) {
            return i;
        }
    }

    return 0;
}


ngx_str_t *
ngx_http_atls_ssl_alpn_name(ngx_uint_t alpn)
{
    return &ngx_http_atls_ssl_alpn_names[alpn];
}


/*
 * The name was processed in the ClientHello callback.  This callback is needed
 * to acknowledge it, and to store it in tickets.
 */

static int
ngx_http_atls_ssl_servername(ngx_ssl_conn_t *ssl, int *ad, void *arg)
{
    return SSL_TLSEXT_ERR_OK;
}


char *
ngx_http_atls_ssl_password_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atls_loc_conf_t *alcf = conf;

    ngx_str_t  *value;

    if (alcf->passwords != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    alcf->passwords = ngx_ssl_read_password_file(cf, &value[1]);

    if (alcf->passwords == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_atls_note(cf, NULL, NULL);
}


const char *
ngx_http_atls_ssl_cipher_name(ngx_ssl_t *ssl, ngx_uint_t suite)
{
    int                    i;
    const SSL_CIPHER      *cipher;
    STACK_OF(SSL_CIPHER)  *ciphers;

    ciphers = SSL_CTX_get_ciphers(ssl->ctx);

    for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {

        cipher = sk_SSL_CIPHER_value(ciphers, i);

        if (SSL_CIPHER_get_protocol_id(cipher) == suite) {
            return SSL_CIPHER_get_name(cipher);
        }
    }

    return NULL;
}
