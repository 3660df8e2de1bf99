
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_listening.h"
#include "ngx_http_atls_proxy.h"
#include "ngx_http_atls_socket.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_end.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_inner_park.h"
#include "ngx_http_atls_raw.h"


static ngx_int_t ngx_http_atls_inner_init(ngx_http_atls_inner_t *inner,
    ngx_connection_t *c, ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_inner_info(ngx_http_atls_inner_t *inner,
    ngx_http_atls_session_t *session);
static void ngx_http_atls_inner_closed(void *data);
static void ngx_http_atls_inner_proxy_restore(void *data);
static ngx_http_upstream_t *ngx_http_atls_inner_upstream(
    ngx_http_atls_inner_t *inner);


ngx_int_t
ngx_http_atls_inner_reserve(ngx_http_atls_post_t *post)
{
    ngx_connection_t  *c;

    if (post->reserved) {
        return NGX_OK;
    }

    c = ngx_http_atls_socket_connection(post->request->connection->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    post->reserved = c;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD connection reserved: %p", post->label, c);

    return NGX_OK;
}


void
ngx_http_atls_inner_release(ngx_http_atls_post_t *post)
{
    ngx_connection_t  *c;

    c = post->reserved;

    if (c) {
        post->reserved = NULL;

        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
    }
}


ngx_int_t
ngx_http_atls_inner_create(ngx_http_atls_post_t *post)
{
    ngx_log_t              *log;
    ngx_pool_t             *pool;
    ngx_connection_t       *c, *oc;
    ngx_pool_cleanup_t     *cln;
    ngx_http_atls_inner_t  *inner;

    oc = post->request->connection;

    pool = ngx_create_pool(oc->listening->pool_size, oc->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    inner = ngx_pcalloc(pool, sizeof(ngx_http_atls_inner_t));
    log = ngx_palloc(pool, sizeof(ngx_log_t));
    cln = ngx_pool_cleanup_add(pool, 0);

    if (inner == NULL || log == NULL || cln == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    *log = *oc->log;
    log->handler = NULL;
    log->data = NULL;
    log->action = NULL;

    if (ngx_http_atls_inner_reserve(post) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    c = post->reserved;
    post->reserved = NULL;

    c->pool = pool;
    c->log = log;
    pool->log = log;

    if (ngx_http_atls_inner_init(inner, c, post) != NGX_OK) {
        ngx_close_connection(c);
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, oc->log, 0,
                   "atls %08xD inner connection: *%uA, early:%d", inner->label,
                   c->number, (int) inner->early);

    cln->handler = ngx_http_atls_inner_closed;
    cln->data = inner;

    post->inner = inner;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    /* not ready: the handler must not be called before hc is set */

    ngx_http_init_connection(c);

    if (post->inner == NULL) {
        return NGX_ERROR;
    }

    inner->hc = c->data;

    c->read->ready = 1;
    c->read->handler(c->read);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_inner_init(ngx_http_atls_inner_t *inner, ngx_connection_t *c,
    ngx_http_atls_post_t *post)
{
    ngx_event_t         *rev, *wev;
    ngx_connection_t    *oc;
    ngx_http_request_t  *r;

    r = post->request;

    inner->connection = c;
    inner->post = post;
    inner->target = post->target;
    inner->early = (post->stage == ngx_http_atls_post_handshake);
    inner->draining = post->draining;
    inner->single = (post->coding != NULL || post->datagrams != NULL);
    inner->zone = post->main_conf->zone;
    inner->label = post->label;

    c->type = SOCK_STREAM;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    ngx_http_atls_inner_io_init(c);

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    rev = c->read;
    wev = c->write;

    rev->log = c->log;
    wev->log = c->log;

    /* marked as active, so core does not add events */

    rev->active = 1;
    wev->active = 1;
    wev->ready = 1;

    /* addresses are copied from the outer connection */

    oc = r->connection;

    if (ngx_connection_local_sockaddr(oc, NULL, 0) != NGX_OK
        || ngx_http_atls_listening_addrs(c, oc->sockaddr, oc->socklen,
                                         oc->local_sockaddr, oc->local_socklen,
                                         &oc->addr_text)
           != NGX_OK
        || ngx_http_atls_proxy_copy(c->pool, &inner->proxy, oc->proxy_protocol)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    c->proxy_protocol = inner->proxy;
    inner->outer = oc->number;

    ngx_http_atls_listening_init(&inner->listening, c, oc->listening,
                                 post->target.names, post->target.server);

    if (ngx_http_atls_inner_info(inner, post->session) != NGX_OK) {
        return NGX_ERROR;
    }

    if (inner->target.conf->payload == NGX_HTTP_ATLS_PAYLOAD_RAW) {
        inner->raw = ngx_http_atls_raw_create(c->pool, post);
        if (inner->raw == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_inner_info(ngx_http_atls_inner_t *inner,
    ngx_http_atls_session_t *session)
{
    ngx_str_t              sni;
    ngx_http_atls_info_t  *info;

    info = &inner->info;

    ngx_memcpy(info->id, session->id, NGX_HTTP_ATLS_ID_LEN);

    info->protocol = session->state.protocol;
    info->suite = session->state.suite;
    info->group = session->state.group;
    info->created = session->created;
    info->verify_error = session->verify_error;
    info->reused = session->reused;
    info->alpn = session->alpn;
    info->other = session->other;

    if (ngx_http_atls_identity_get(session, &info->identity,
                                   inner->connection->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    sni = ngx_http_atls_session_sni(session);

    if (sni.len == 0) {
        return NGX_OK;
    }

    info->sni.len = sni.len;
    info->sni.data = ngx_pnalloc(inner->connection->pool, info->sni.len);
    if (info->sni.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(info->sni.data, sni.data, sni.len);

    return NGX_OK;
}


/* Pool cleanup handler: nginx has closed the inner connection. */

static void
ngx_http_atls_inner_closed(void *data)
{
    ngx_http_atls_inner_t *inner = data;

    if (inner->parked) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                       "atls %08xD parked inner connection closed",
                       inner->label);

        ngx_http_atls_inner_unpark(inner);
        ngx_http_atls_session_abandon(inner->zone, inner->info.id, inner,
                                      ngx_http_atls_inner_end(inner),
                                      ngx_http_atls_inner_overtaken(inner));
        return;
    }

    if (inner->post == NULL) {
        return;
    }

    ngx_http_atls_stream_inner_closed(inner->post,
                                      ngx_http_atls_inner_end(inner));
}


/*
 * The PROXY protocol data are used by variables until the request is logged,
 * so they are copied to the pool of the request.  Between requests, for
 * example when an invalid request is logged, the data of the connection are
 * used.
 */

ngx_int_t
ngx_http_atls_inner_proxy(ngx_http_atls_inner_t *inner, ngx_http_request_t *r)
{
    ngx_connection_t    *c, *oc;
    ngx_pool_cleanup_t  *cln;

    if (inner->post == NULL) {
        return NGX_OK;
    }

    c = inner->connection;
    oc = inner->post->request->connection;

    if (oc->number == inner->outer
        || (oc->proxy_protocol == NULL && inner->proxy == NULL))
    {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_atls_proxy_copy(r->pool, &c->proxy_protocol,
                                 oc->proxy_protocol)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_atls_inner_proxy_restore;
    cln->data = inner;

    return NGX_OK;
}


static void
ngx_http_atls_inner_proxy_restore(void *data)
{
    ngx_http_atls_inner_t *inner = data;

    inner->connection->proxy_protocol = inner->proxy;
}


/* Core sets the read timer while it waits for the client. */

ngx_uint_t
ngx_http_atls_inner_waiting(ngx_http_atls_inner_t *inner)
{
    return inner->connection->read->timer_set;
}


ngx_uint_t
ngx_http_atls_inner_goes_on(ngx_http_atls_inner_t *inner)
{
    ngx_http_upstream_t  *u;

    u = ngx_http_atls_inner_upstream(inner);

    return u && u->conf && u->conf->ignore_client_abort;
}


ngx_uint_t
ngx_http_atls_inner_tunnel(ngx_http_atls_inner_t *inner)
{
    ngx_http_upstream_t  *u;

    u = ngx_http_atls_inner_upstream(inner);

    return u && u->upgrade;
}


static ngx_http_upstream_t *
ngx_http_atls_inner_upstream(ngx_http_atls_inner_t *inner)
{
    ngx_http_request_t  *r;

    if (inner->connection->data == inner->hc) {
        return NULL;
    }

    r = inner->connection->data;

    return r->main->upstream;
}


const trl_state_t *
ngx_http_atls_inner_state(ngx_http_atls_inner_t *inner)
{
    ngx_http_atls_post_t  *post;

    post = inner->post;

    if (post == NULL || post->session == NULL || !post->session->established) {
        return NULL;
    }

    return &post->session->state;
}
