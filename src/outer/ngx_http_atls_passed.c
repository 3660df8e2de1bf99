
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_id.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_portable.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_elsewhere.h"
#include "ngx_http_atls_link.h"
#include "ngx_http_atls_passed.h"
#include "ngx_http_atls_post.h"
#include "ngx_http_atls_relay.h"
#include "ngx_http_atls_relay_mail.h"
#include "ngx_http_atls_relayed.h"


static ngx_int_t ngx_http_atls_passed_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_atls_passed_verified(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_passed_head(ngx_http_request_t *r,
    ngx_http_atls_mail_t *mail);
static ngx_int_t ngx_http_atls_passed_found(
    ngx_http_atls_elsewhere_t *elsewhere);
static ngx_int_t ngx_http_atls_passed_relay(ngx_http_atls_post_t *post,
    ngx_http_atls_owner_t *owner, ngx_str_t *text);


/*
 * Without TLS and a CA, anybody could pretend to be a machine, or a client.
 *
 * The limit for bodies was applied by the machine with the connection of the
 * client, or is applied by the worker that serves the POST.
 */

char *
ngx_http_atls_passed_conf(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_ssl_srv_conf_t    *sscf;
    ngx_http_atls_main_conf_t  *amcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    sscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_ssl_module);
    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    if (amcf->store == NULL || conf->enable) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"atls_peer\" in location \"%V\" requires "
                           "\"atls_store\", and no \"atls on\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (sscf->certificates == NULL || sscf->verify != 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"atls_peer\" in location \"%V\" requires "
                           "\"listen ... ssl\" and \"ssl_verify_client on\"",
                           &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (amcf->store->peer == NULL) {
        amcf->store->peer = cscf;
    }

    clcf->handler = ngx_http_atls_passed_handler;
    clcf->client_max_body_size = 0;

    return ngx_http_atls_relay_conf(cf, conf) == NGX_OK ? NGX_CONF_OK
                                                        : NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_atls_passed_init(ngx_conf_t *cf)
{
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    return (amcf->store && amcf->store->peer)
           ? ngx_http_atls_link_conf(cf, amcf->store) : NGX_OK;
}


static ngx_int_t
ngx_http_atls_passed_handler(ngx_http_request_t *r)
{
    u_char                      id[NGX_HTTP_ATLS_ID_LEN
                                   + NGX_HTTP_ATLS_TAG_LEN];
    ngx_str_t                   text;
    ngx_http_atls_post_t       *post;
    ngx_http_atls_mail_t       *mail;
    ngx_http_atls_owner_t       owner;

    mail = ngx_palloc(r->pool, sizeof(ngx_http_atls_mail_t));
    post = ngx_http_atls_post_create(r);

    if (mail == NULL || post == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r != r->main || r->method != NGX_HTTP_POST
        || r->headers_in.content_type == NULL
        || !ngx_http_atls_passed_verified(r)
        || ngx_http_atls_relayed_session(r, &text, &post->tracking) != NGX_OK
        || ngx_http_atls_id_decode(&text, id) != NGX_OK
        || ngx_http_atls_passed_head(r, mail) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "atls peer sent a POST that cannot be served here: do "
                      "all machines have the same version and endpoints?");
        return NGX_HTTP_NOT_FOUND;
    }

    post->mail = mail;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls POST passed, endpoint:%uL, home:%uL",
                   mail->endpoint, mail->home);

    if (ngx_http_atls_portable_owner(post->main_conf->zone, id, &owner)
        == NGX_OK)
    {
        return ngx_http_atls_passed_relay(post, &owner, &text);
    }

    /* this machine has just put it into the store */

    return ngx_http_atls_elsewhere(post, id, &text, 1,
                                   ngx_http_atls_passed_found)
           ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * The certificate may have been verified by another server with the same
 * address, which has another CA: the server of the request is that of "Host".
 */

static ngx_uint_t
ngx_http_atls_passed_verified(ngx_http_request_t *r)
{
    SSL                      *ssl;
    ngx_http_ssl_srv_conf_t  *sscf;

    if (r->connection->ssl == NULL) {
        return 0;
    }

    ssl = r->connection->ssl->connection;
    sscf = ngx_http_get_module_srv_conf(r, ngx_http_ssl_module);

    return SSL_get_SSL_CTX(ssl) == sscf->ssl.ctx
           && SSL_get_verify_result(ssl) == X509_V_OK;
}


static ngx_int_t
ngx_http_atls_passed_head(ngx_http_request_t *r, ngx_http_atls_mail_t *mail)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    len = sizeof(NGX_HTTP_ATLS_RELAY_HEADER) - 1;
    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; i < part->nelts; i++) {
        if (header[i].key.len == len
            && ngx_strncmp(header[i].key.data, NGX_HTTP_ATLS_RELAY_HEADER, len)
               == 0)
        {
            return ngx_http_atls_relay_mail_read(&header[i].value, r->pool,
                                                 mail);
        }
    }

    return NGX_ERROR;
}


/* If it does not exist, this worker tells the client so. */

static ngx_int_t
ngx_http_atls_passed_found(ngx_http_atls_elsewhere_t *elsewhere)
{
    ngx_http_atls_post_t   *post;
    ngx_http_atls_owner_t   owner;

    post = elsewhere->post;

    (void) ngx_http_atls_portable_owner(post->main_conf->zone,
                                        elsewhere->lookup.id, &owner);

    return ngx_http_atls_passed_relay(post, &owner, &elsewhere->text);
}


/* By mail, as within a machine; the worker may be this one. */

static ngx_int_t
ngx_http_atls_passed_relay(ngx_http_atls_post_t *post,
    ngx_http_atls_owner_t *owner, ngx_str_t *text)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_relay(post, owner, text, post->mail);

    if (rc == NGX_DECLINED || rc == NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS) {

        rc = ngx_http_discard_request_body(post->request);

        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_http_atls_problem(post->request,
                                     NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS);
    }

    return rc;
}
