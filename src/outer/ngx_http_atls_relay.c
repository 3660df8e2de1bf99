
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_outcome.h"
#include "ngx_http_atls_relay.h"
#include "ngx_http_atls_relay_http.h"
#include "ngx_http_atls_relay_mail.h"
#include "ngx_http_atls_relay_peer.h"


/*
 * The other worker has all relevant timeouts, and is monitored.  This is only
 * for unexpected cases.
 */

#define NGX_HTTP_ATLS_RELAY_TIMEOUT  (24 * 60 * 60 * 1000)

/* a worker may be busy for a moment, regardless of timeouts */

#define NGX_HTTP_ATLS_RELAY_SILENCE  5000


static ngx_http_atls_relay_t *ngx_http_atls_relay_create(
    ngx_http_atls_post_t *post, ngx_str_t *text);
static ngx_int_t ngx_http_atls_relay_start(ngx_http_atls_post_t *post,
    ngx_http_atls_relay_t *relay);
static void ngx_http_atls_relay_upstream(ngx_http_request_t *r,
    ngx_http_atls_relay_t *relay, ngx_http_upstream_conf_t *conf);
static ngx_msec_t ngx_http_atls_relay_timeout(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_relay_unlimited(ngx_http_request_t *r);


ngx_int_t
ngx_http_atls_relay_conf(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf)
{
    ngx_hash_init_t            hash;
    ngx_http_upstream_conf_t  *relay, prev;

    static ngx_str_t  none[] = { ngx_null_string };

    relay = &conf->relay;

    /*
     * Other members are zero: no buffering, no cache, no next upstream, no
     * intercepted errors.
     */

    ngx_str_set(&relay->module, "atls");

    relay->upstream = ngx_http_atls_relay_peer_upstream();
    relay->connect_timeout = NGX_HTTP_ATLS_RELAY_TIMEOUT;
    relay->send_timeout = NGX_HTTP_ATLS_RELAY_TIMEOUT;
    relay->read_timeout = NGX_HTTP_ATLS_RELAY_TIMEOUT;
    relay->buffer_size = 16384;
    relay->next_upstream = NGX_HTTP_UPSTREAM_FT_OFF;

    /* the response may start before the end of the body */

    relay->preserve_output = 1;

    relay->hide_headers = NGX_CONF_UNSET_PTR;
    relay->pass_headers = NGX_CONF_UNSET_PTR;

    ngx_memzero(&prev, sizeof(ngx_http_upstream_conf_t));

    prev.hide_headers = NGX_CONF_UNSET_PTR;
    prev.pass_headers = NGX_CONF_UNSET_PTR;

    hash.max_size = 64;
    hash.bucket_size = ngx_align(64, ngx_cacheline_size);
    hash.name = "atls_relay_headers_hash";

    return ngx_http_upstream_hide_headers_hash(cf, relay, &prev, none, &hash);
}


/*
 * Resources are allocated before the request is changed.  If this fails, an
 * error can be sent, and the session is not affected.
 */

ngx_int_t
ngx_http_atls_relay(ngx_http_atls_post_t *post, ngx_http_atls_owner_t *owner,
    ngx_str_t *text, ngx_http_atls_mail_t *mail)
{
    ngx_msec_t              timeout;
    ngx_http_request_t     *r;
    ngx_http_atls_relay_t  *relay;

    r = post->request;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD relay to worker %uD in slot %uD", post->label,
                   owner->id, owner->slot);

    if (!ngx_http_atls_mailbox_known(owner)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "atls POST cannot be relayed: no mailbox for the process "
                      "in slot %uD", owner->slot);
        ngx_http_atls_count(relays[ngx_http_atls_relay_no_mailbox]);
        return NGX_DECLINED;
    }

    timeout = ngx_http_atls_relay_timeout(post);

    if (ngx_http_atls_relay_peer_stuck(owner, timeout, r->connection->log)) {
        ngx_http_atls_count(relays[ngx_http_atls_relay_stuck]);
        return NGX_DECLINED;
    }

    relay = ngx_http_atls_relay_create(post, text);
    if (relay == NULL) {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    relay->owner = *owner;
    relay->timeout = timeout;
    relay->mail = mail;

    if (ngx_http_atls_relay_peer_connect(relay) != NGX_OK) {
        ngx_http_atls_count(relays[ngx_http_atls_relay_no_connection]);
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD relay connection *%uA, timeout:%M", post->label,
                   relay->connection->number, timeout);

    return ngx_http_atls_relay_start(post, relay);
}


ngx_http_atls_relay_t *
ngx_http_atls_relay_prepare(ngx_http_atls_post_t *post, ngx_str_t *text,
    ngx_str_t *head)
{
    ngx_str_t               value;
    ngx_http_request_t     *r;
    ngx_http_atls_mail_t    mail;
    ngx_http_atls_relay_t  *relay;

    r = post->request;

    relay = ngx_http_atls_relay_create(post, text);

    if (relay == NULL
        || ngx_http_atls_relay_mail(r, relay->home, &mail) != NGX_OK
        || ngx_http_atls_relay_mail_write(&mail, r->pool, &value) != NGX_OK
        || ngx_http_atls_relay_http_head(relay, post, &value) != NGX_OK)
    {
        return NULL;
    }

    *head = relay->head;

    return relay;
}


/* The connection belongs to the relay from now on. */

ngx_int_t
ngx_http_atls_relay_node(ngx_http_atls_post_t *post,
    ngx_http_atls_relay_t *relay, ngx_http_atls_node_t *node,
    ngx_connection_t *c)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD relay to node \"%s\", connection *%uA",
                   post->label, node->name, c->number);

    relay->main_conf = post->main_conf;
    relay->naming.node = *node;

    ngx_http_atls_relay_peer_use(relay, c);

    return ngx_http_atls_relay_start(post, relay);
}


static ngx_http_atls_relay_t *
ngx_http_atls_relay_create(ngx_http_atls_post_t *post, ngx_str_t *text)
{
    ngx_http_cleanup_t     *cln;
    ngx_http_request_t     *r;
    ngx_http_atls_relay_t  *relay;

    r = post->request;

    relay = ngx_pcalloc(r->pool, sizeof(ngx_http_atls_relay_t));
    if (relay == NULL) {
        return NULL;
    }

    relay->request = r;
    relay->home = post->home->endpoint;
    relay->session = *text;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_atls_relay_peer_cleanup;
    cln->data = relay;

    return relay;
}


static ngx_int_t
ngx_http_atls_relay_start(ngx_http_atls_post_t *post,
    ngx_http_atls_relay_t *relay)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = post->request;

    if (ngx_http_atls_relay_unlimited(r) != NGX_OK
        || ngx_http_upstream_create(r) != NGX_OK)
    {
        ngx_http_atls_count(relays[ngx_http_atls_relay_no_connection]);
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    post->relay = relay;
    relay->started = 1;

    ngx_http_atls_relay_upstream(r, relay, &post->conf->relay);

    /* the content type is set by the other worker */

    ngx_str_null(&r->headers_out.content_type);

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_upstream_init);

    if (rc == NGX_HTTP_BAD_REQUEST && !r->connection->error) {
        r->keepalive = 0;
        (void) ngx_http_atls_outcome_set_problem(r,
                                               NGX_HTTP_ATLS_UNREADABLE_BODY);
        return ngx_http_atls_problem(r, NGX_HTTP_ATLS_UNREADABLE_BODY);
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_atls_relay_upstream(ngx_http_request_t *r,
    ngx_http_atls_relay_t *relay, ngx_http_upstream_conf_t *conf)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    ngx_str_set(&u->schema, "atls://");

    u->output.tag = (ngx_buf_tag_t) &ngx_http_atls_module;
    u->conf = conf;

    u->create_request = ngx_http_atls_relay_http_create_request;
    u->reinit_request = ngx_http_atls_relay_http_reinit_request;
    u->process_header = ngx_http_atls_relay_http_process_status;
    u->abort_request = ngx_http_atls_relay_http_abort_request;
    u->finalize_request = ngx_http_atls_relay_http_finalize_request;

    u->input_filter_init = ngx_http_atls_relay_http_filter_init;
    u->input_filter = ngx_http_atls_relay_http_filter;
    u->input_filter_ctx = relay;
}


/*
 * The timeout for a worker without any response: the same as for a client that
 * does not read.  A handshake would be aborted by the other worker after its
 * timeout.
 */

static ngx_msec_t
ngx_http_atls_relay_timeout(ngx_http_atls_post_t *post)
{
    ngx_msec_t                 timeout;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(post->request, ngx_http_core_module);

    timeout = clcf->send_timeout;

    if (post->take == ngx_http_atls_take_handshake) {
        timeout = ngx_min(timeout, post->home->handshake_timeout);
    }

    return ngx_max(timeout, NGX_HTTP_ATLS_RELAY_SILENCE);
}


/*
 * The other worker has the same limit, and handles chunked bodies which exceed
 * it.  The configuration without a limit is allocated once per location: core
 * uses it after the pool of the request is destroyed.
 */

static ngx_int_t
ngx_http_atls_relay_unlimited(ngx_http_request_t *r)
{
    void                      **loc_conf;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_atls_loc_conf_t   *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    if (alcf->unlimited == NULL) {
        loc_conf = ngx_palloc(ngx_cycle->pool,
                              sizeof(void *) * ngx_http_max_module);
        clcf = ngx_palloc(ngx_cycle->pool, sizeof(ngx_http_core_loc_conf_t));

        if (loc_conf == NULL || clcf == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(loc_conf, r->loc_conf, sizeof(void *) * ngx_http_max_module);

        *clcf = *(ngx_http_core_loc_conf_t *)
                                   loc_conf[ngx_http_core_module.ctx_index];
        clcf->client_max_body_size = 0;

        loc_conf[ngx_http_core_module.ctx_index] = clcf;
        alcf->unlimited = loc_conf;
    }

    r->loc_conf = alcf->unlimited;

    return NGX_OK;
}
