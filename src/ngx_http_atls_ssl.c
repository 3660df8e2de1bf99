
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"


static ngx_int_t ngx_http_atls_ssl_certificates(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);
static ngx_int_t ngx_http_atls_ssl_check_ciphers(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);


ngx_int_t
ngx_http_atls_ssl_create(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

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

    /* ngx_ssl_create() turns read ahead on: this turns it off again */

    if (atls_watch_ctx(ssl->ctx) != 0) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0, "SSL_CTX set-up failed");
        return NGX_ERROR;
    }

    /*
     * Tickets keep sessions; a cache in each worker would only be found by
     * chance.
     */

    SSL_CTX_set_session_cache_mode(ssl->ctx, SSL_SESS_CACHE_OFF);

    if (ngx_http_atls_ssl_certificates(cf, alcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_ssl_ciphers(cf, ssl, &alcf->ciphers, alcf->prefer_server_ciphers)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_ssl_dhparam(cf, ssl, &alcf->dhparam) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_ssl_ecdh_curve(cf, ssl, &alcf->ecdh_curve) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_ssl_conf_commands(cf, ssl, alcf->conf_commands) != NGX_OK) {
        return NGX_ERROR;
    }

    /* after the commands, which may set ciphers too */

    return ngx_http_atls_ssl_check_ciphers(cf, alcf);
}


static ngx_int_t
ngx_http_atls_ssl_certificates(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    ngx_str_t                 *cert;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (alcf->certificates == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"atls_certificate\" is defined for the location "
                      "\"%V\" with \"atls on\"", &clcf->name);
        return NGX_ERROR;
    }

    if (alcf->certificate_keys == NULL
        || alcf->certificate_keys->nelts < alcf->certificates->nelts)
    {
        cert = alcf->certificates->elts;
        cert += alcf->certificates->nelts - 1;

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"atls_certificate_key\" is defined for certificate "
                      "\"%V\" of the location \"%V\"", cert, &clcf->name);
        return NGX_ERROR;
    }

    return ngx_ssl_certificates(cf, alcf->ssl, alcf->certificates,
                                alcf->certificate_keys, alcf->passwords);
}


/* Only records of AEAD suites can be protected without an SSL object. */

static ngx_int_t
ngx_http_atls_ssl_check_ciphers(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    int                         i;
    const SSL_CIPHER           *cipher;
    STACK_OF(SSL_CIPHER)       *ciphers;
    ngx_http_core_loc_conf_t   *clcf;

    ciphers = SSL_CTX_get_ciphers(alcf->ssl->ctx);

    for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {

        cipher = sk_SSL_CIPHER_value(ciphers, i);

        if (!atls_cipher_supported(cipher)) {
            clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "cipher \"%s\" of the location \"%V\" is not "
                          "supported: AES-GCM, AES-CCM and "
                          "ChaCha20-Poly1305 are",
                          SSL_CIPHER_get_name(cipher), &clcf->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
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

    return NGX_CONF_OK;
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
