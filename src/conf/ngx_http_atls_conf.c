
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_note.h"


void *
ngx_http_atls_conf_create_main(ngx_conf_t *cf)
{
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_atls_main_conf_t));
    if (amcf == NULL) {
        return NULL;
    }

    amcf->max_handshakes = NGX_CONF_UNSET_UINT;

    if (ngx_array_init(&amcf->endpoints, cf->pool, 4,
                       sizeof(ngx_http_atls_endpoint_t))
        != NGX_OK
        || ngx_array_init(&amcf->blocks, cf->temp_pool, 4,
                          sizeof(ngx_http_core_loc_conf_t *))
           != NGX_OK
        || ngx_array_init(&amcf->notes, cf->temp_pool, 16,
                          sizeof(ngx_http_atls_note_t))
           != NGX_OK)
    {
        return NULL;
    }

    return amcf;
}


void *
ngx_http_atls_conf_create_loc(ngx_conf_t *cf)
{
    ngx_http_atls_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_atls_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->protocols = 0;
     *     conf->ciphers = { 0, NULL };
     *     conf->ecdh_curve = { 0, NULL };
     *     conf->dhparam = { 0, NULL };
     *     conf->client_certificate = { 0, NULL };
     *     conf->trusted_certificate = { 0, NULL };
     *     conf->crl = { 0, NULL };
     *     conf->stapling_file = { 0, NULL };
     *     conf->stapling_responder = { 0, NULL };
     *     conf->cookie = { 0 };
     *     conf->ssl = NULL;
     *     conf->association_keys = NULL;
     *     conf->outer = NULL;
     *     conf->loc_conf = NULL;
     *     conf->used = 0;
     *     conf->content_handler = NULL;
     *     conf->pinned = 0;
     *     conf->uri = { 0, NULL };
     *     conf->uri_len = 0;
     *     conf->location = 0;
     *     conf->endpoint = 0;
     *     conf->portable = 0;
     *     conf->policy = 0;
     *     conf->endpoints = { 0 };
     */

    conf->enable = NGX_CONF_UNSET;
    conf->payload = NGX_CONF_UNSET_UINT;
    conf->buffer_size = NGX_CONF_UNSET_SIZE;
    conf->retry_buffer = NGX_CONF_UNSET_SIZE;
    conf->poll_timeout = NGX_CONF_UNSET_MSEC;
    conf->exported_keys = NGX_CONF_UNSET;
    conf->required = NGX_CONF_UNSET;
    conf->peer = NGX_CONF_UNSET;
    conf->tracking = NGX_CONF_UNSET_UINT;
    conf->cors = NGX_CONF_UNSET_PTR;
    conf->session_timeout = NGX_CONF_UNSET;
    conf->session_lifetime = NGX_CONF_UNSET;
    conf->handshake_timeout = NGX_CONF_UNSET_MSEC;
    conf->certificates = NGX_CONF_UNSET_PTR;
    conf->certificate_keys = NGX_CONF_UNSET_PTR;
    conf->passwords = NGX_CONF_UNSET_PTR;
    conf->prefer_server_ciphers = NGX_CONF_UNSET;
    conf->conf_commands = NGX_CONF_UNSET_PTR;
    conf->verify = NGX_CONF_UNSET_UINT;
    conf->verify_depth = NGX_CONF_UNSET_UINT;
    conf->psks = NGX_CONF_UNSET_PTR;
    conf->stapling = NGX_CONF_UNSET;
    conf->stapling_verify = NGX_CONF_UNSET;
    conf->session_tickets = NGX_CONF_UNSET;
    conf->session_ticket_keys = NGX_CONF_UNSET_PTR;
    conf->early_data = NGX_CONF_UNSET;
    conf->association = NGX_CONF_UNSET;
    conf->association_reuse = NGX_CONF_UNSET;
    conf->association_accept = NGX_CONF_UNSET;

    return conf;
}


void
ngx_http_atls_conf_merge_tls(ngx_http_atls_loc_conf_t *conf,
    ngx_http_atls_loc_conf_t *prev)
{
    ngx_conf_merge_ptr_value(conf->certificates, prev->certificates, NULL);
    ngx_conf_merge_ptr_value(conf->certificate_keys, prev->certificate_keys,
                             NULL);
    ngx_conf_merge_ptr_value(conf->passwords, prev->passwords, NULL);

    ngx_conf_merge_bitmask_value(conf->protocols, prev->protocols,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3));

    ngx_conf_merge_uint_value(conf->verify, prev->verify,
                              NGX_HTTP_ATLS_VERIFY_OFF);
    ngx_conf_merge_uint_value(conf->verify_depth, prev->verify_depth, 1);
    ngx_conf_merge_str_value(conf->client_certificate,
                             prev->client_certificate, "");
    ngx_conf_merge_str_value(conf->trusted_certificate,
                             prev->trusted_certificate, "");
    ngx_conf_merge_str_value(conf->crl, prev->crl, "");
    ngx_conf_merge_ptr_value(conf->psks, prev->psks, NULL);

    /* the default depends on pre-shared keys, so it is not inherited */

    if (conf->ciphers.data == NULL) {
        conf->ciphers = prev->ciphers;
    }
    ngx_conf_merge_value(conf->prefer_server_ciphers,
                         prev->prefer_server_ciphers, 0);
    ngx_conf_merge_str_value(conf->ecdh_curve, prev->ecdh_curve,
                             "auto");
    ngx_conf_merge_str_value(conf->dhparam, prev->dhparam, "");
    ngx_conf_merge_ptr_value(conf->conf_commands, prev->conf_commands, NULL);

    ngx_conf_merge_value(conf->stapling, prev->stapling, 0);
    ngx_conf_merge_value(conf->stapling_verify, prev->stapling_verify, 0);
    ngx_conf_merge_str_value(conf->stapling_file, prev->stapling_file, "");
    ngx_conf_merge_str_value(conf->stapling_responder,
                             prev->stapling_responder, "");

    ngx_conf_merge_value(conf->session_tickets, prev->session_tickets, 1);
    ngx_conf_merge_ptr_value(conf->session_ticket_keys,
                             prev->session_ticket_keys, NULL);
    ngx_conf_merge_value(conf->early_data, prev->early_data, 0);

    ngx_conf_merge_sec_value(conf->association, prev->association, 0);
    ngx_conf_merge_value(conf->association_reuse, prev->association_reuse, 0);
    ngx_conf_merge_value(conf->association_accept, prev->association_accept,
                         0);
}
