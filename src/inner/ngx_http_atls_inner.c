
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_listening.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_proxy.h"
#include "ngx_http_atls_socket.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_raw.h"


#define NGX_HTTP_ATLS_IOVS          64
#define NGX_HTTP_ATLS_PARKED_SHARE  4       /* a quarter of all connections */


static ngx_int_t ngx_http_atls_inner_init(ngx_http_atls_inner_t *inner,
    ngx_connection_t *c, ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_inner_info(ngx_http_atls_inner_t *inner,
    ngx_http_atls_session_t *session);
static void ngx_http_atls_inner_proxy_restore(void *data);
static ngx_uint_t ngx_http_atls_inner_half_answered(
    ngx_http_atls_inner_t *inner);
static void ngx_http_atls_inner_time(ngx_http_atls_inner_t *inner);
static void ngx_http_atls_inner_unpark(ngx_http_atls_inner_t *inner);
static void ngx_http_atls_inner_lost(ngx_http_atls_inner_t *inner);
static ssize_t ngx_http_atls_inner_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_uint_t ngx_http_atls_inner_lingers(ngx_http_atls_inner_t *inner);
static ssize_t ngx_http_atls_inner_recv_end(ngx_http_atls_inner_t *inner);
static ssize_t ngx_http_atls_inner_recv_eof(ngx_connection_t *c);
static ngx_uint_t ngx_http_atls_inner_http2(ngx_http_atls_inner_t *inner,
    u_char *buf, size_t n);
static ssize_t ngx_http_atls_inner_recv_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static ssize_t ngx_http_atls_inner_send(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_chain_t *ngx_http_atls_inner_send_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static void ngx_http_atls_inner_set_answering(ngx_http_atls_inner_t *inner);
static ngx_chain_t *ngx_http_atls_inner_send_error(ngx_connection_t *c);
static ssize_t ngx_http_atls_inner_gather(ngx_connection_t *c, ngx_chain_t *in,
    size_t max, struct iovec *iov, ngx_uint_t *niov);
static void ngx_http_atls_inner_closed(void *data);
static ngx_http_atls_end_e ngx_http_atls_inner_end(
    const ngx_http_atls_inner_t *inner);
static ngx_uint_t ngx_http_atls_inner_keepalive(
    const ngx_http_atls_inner_t *inner);


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

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, oc->log, 0,
                   "atls inner connection: *%uA", c->number);

    cln->handler = ngx_http_atls_inner_closed;
    cln->data = inner;

    post->inner = inner;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    /* not ready yet: the handler must not run before hc is known */

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
    inner->zone = post->main_conf->zone;

    c->type = SOCK_STREAM;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    c->recv = ngx_http_atls_inner_recv;
    c->recv_chain = ngx_http_atls_inner_recv_chain;
    c->send = ngx_http_atls_inner_send;
    c->send_chain = ngx_http_atls_inner_send_chain;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    rev = c->read;
    wev = c->write;

    rev->log = c->log;
    wev->log = c->log;

    /* as if the event method knew them already: core adds nothing to it */

    rev->active = 1;
    wev->active = 1;
    wev->ready = 1;

    /* the addresses are the outer connection's */

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
                                 r->http_connection->addr_conf,
                                 post->target.server);

    if (ngx_http_atls_inner_info(inner, post->session) != NGX_OK) {
        return NGX_ERROR;
    }

    if (inner->target.conf->payload == NGX_HTTP_ATLS_PAYLOAD_RAW) {
        inner->raw = ngx_http_atls_raw_create(c->pool, r);
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

    if (ngx_http_atls_identity_get(session, &info->identity,
                                   inner->connection->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (session->sni_len == 0) {
        return NGX_OK;
    }

    info->sni.len = session->sni_len;
    info->sni.data = ngx_pnalloc(inner->connection->pool, info->sni.len);
    if (info->sni.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(info->sni.data, session->sni, info->sni.len);

    return NGX_OK;
}


/*
 * Variables refer to it until the request is logged, and may be looked at
 * between requests, when one could not be parsed: so it has the lifetime of
 * the request, and that of the connection is there before and after.
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


void
ngx_http_atls_inner_readable(ngx_http_atls_inner_t *inner)
{
    ngx_event_t  *rev;

    rev = inner->connection->read;

    rev->ready = 1;
    ngx_post_event(rev, &ngx_posted_events);
}


void
ngx_http_atls_inner_half_closed(ngx_http_atls_inner_t *inner)
{
    inner->connection->read->pending_eof = 1;

    ngx_http_atls_inner_readable(inner);
}


void
ngx_http_atls_inner_writable(ngx_http_atls_inner_t *inner)
{
    ngx_event_t  *wev;

    wev = inner->connection->write;

    wev->ready = 1;
    ngx_post_event(wev, &ngx_posted_events);
}


/*
 * Parked inner connections are many that a client can have with one connection
 * to nginx: they are bounded, and the one that waits the longest goes first.
 */

void
ngx_http_atls_inner_park(ngx_http_atls_inner_t *inner)
{
    ngx_queue_t            *q;
    ngx_http_atls_inner_t  *oldest;

    inner->post = NULL;
    inner->parked = 1;

    ngx_http_atls_inner_time(inner);

    /* else the one that reads a header would not see that it is closed */

    inner->connection->read->ready = 1;

    ngx_queue_insert_head(&ngx_http_atls_process.parked, &inner->queue);
    ngx_http_atls_process.nparked++;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                   "atls inner connection parked: %ui",
                   ngx_http_atls_process.nparked);

    if (ngx_http_atls_process.nparked
        <= ngx_cycle->connection_n / NGX_HTTP_ATLS_PARKED_SHARE)
    {
        return;
    }

    q = ngx_queue_last(&ngx_http_atls_process.parked);
    oldest = ngx_queue_data(q, ngx_http_atls_inner_t, queue);

    ngx_log_error(NGX_LOG_WARN, oldest->connection->log, 0,
                  "atls too many parked requests: %ui, closing the oldest "
                  "session", ngx_http_atls_process.nparked);

    oldest->answering = ngx_http_atls_inner_half_answered(oldest);

    ngx_http_atls_inner_abort(oldest);

    /* at once: its session's next POST may be served before its events */

    ngx_http_atls_session_abandon(oldest->zone, oldest->info.id, oldest,
                                  ngx_http_atls_inner_end(oldest));
}


/* A request that is answered may wait for the rest of a body to discard. */

static ngx_uint_t
ngx_http_atls_inner_half_answered(ngx_http_atls_inner_t *inner)
{
    ngx_http_request_t  *r;

    if (!inner->answering || inner->connection->data == inner->hc) {
        return inner->answering;
    }

    r = inner->connection->data;

    return !r->main->done;
}


/*
 * Core begins to count the time for the rest of a body again whenever there is
 * nothing to read.  But a POST that has brought nothing gives no more of it:
 * anybody who has the cookie can send one.
 */

static void
ngx_http_atls_inner_time(ngx_http_atls_inner_t *inner)
{
    ngx_event_t     *rev;
    ngx_msec_int_t   remaining;

    rev = inner->connection->read;

    if (!rev->timer_set) {
        inner->timed = 0;
        return;
    }

    if (inner->timed && !inner->received) {
        remaining = (ngx_msec_int_t) (inner->deadline - ngx_current_msec);

        ngx_del_timer(rev);
        ngx_add_timer(rev, (ngx_msec_t) ngx_max(remaining, 1));

        return;
    }

    inner->deadline = rev->timer.key;
    inner->timed = 1;
    inner->received = 0;
}


static void
ngx_http_atls_inner_unpark(ngx_http_atls_inner_t *inner)
{
    if (inner->parked) {
        ngx_queue_remove(&inner->queue);
        ngx_http_atls_process.nparked--;
    }
}


void
ngx_http_atls_inner_resume(ngx_http_atls_post_t *post)
{
    ngx_http_atls_inner_t  *inner;

    inner = post->session->inner;

    if (inner == NULL) {
        return;
    }

    post->session->inner = NULL;
    post->inner = inner;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                   "atls inner connection resumed by *%uA, blocked:%d",
                   post->request->connection->number, inner->blocked);

    ngx_http_atls_inner_unpark(inner);

    inner->post = post;
    inner->parked = 0;

    inner->connection->read->pending_eof = 0;
    ngx_http_atls_inner_readable(inner);

    if (inner->blocked) {
        inner->blocked = 0;
        ngx_http_atls_inner_writable(inner);
    }
}


void
ngx_http_atls_inner_last(ngx_http_atls_inner_t *inner)
{
    ngx_http_request_t  *r;

    inner->last = 1;

    /* its header may have been sent */

    if (inner->connection->data != inner->hc) {
        r = inner->connection->data;
        r->keepalive = 0;
    }
}


ngx_uint_t
ngx_http_atls_inner_ends(ngx_http_atls_inner_t *inner)
{
    return inner->last
           || (inner->post
               && ngx_http_atls_session_outlived(inner->post->session,
                                                 inner->post->conf));
}


/* As long as core waits for a client, it keeps the time. */

ngx_uint_t
ngx_http_atls_inner_waiting(ngx_http_atls_inner_t *inner)
{
    return inner->connection->read->timer_set;
}


void
ngx_http_atls_inner_abort(ngx_http_atls_inner_t *inner)
{
    ngx_http_atls_inner_unpark(inner);

    inner->post = NULL;
    inner->parked = 0;

    ngx_http_atls_inner_lost(inner);
}


/*
 * What a lost client looks like: to core's tests for broken connections, and
 * to what receives or sends.
 */

static void
ngx_http_atls_inner_lost(ngx_http_atls_inner_t *inner)
{
    ngx_event_t       *rev, *wev;
    ngx_connection_t  *c;

    c = inner->connection;
    rev = c->read;
    wev = c->write;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls inner connection lost");

    c->error = 1;
    rev->pending_eof = 1;
    rev->ready = 1;
    wev->ready = 1;

    ngx_post_event(rev, &ngx_posted_events);
    ngx_post_event(wev, &ngx_posted_events);
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


ngx_http_atls_inner_t *
ngx_http_atls_inner_get(ngx_connection_t *c)
{
    ngx_pool_cleanup_t  *cln;

    if (c->recv != ngx_http_atls_inner_recv) {
        return NULL;
    }

    for (cln = c->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_atls_inner_closed) {
            return cln->data;
        }
    }

    return NULL;
}


static ssize_t
ngx_http_atls_inner_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    u_char                 *data;
    size_t                  len;
    ssize_t                 n;
    ngx_int_t               rc;
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_inner_get(c);

    if (inner->parked) {

        if (c->close) {
            return ngx_http_atls_inner_recv_eof(c);
        }

        c->read->ready = 0;
        return NGX_AGAIN;
    }

    if (inner->post == NULL || ngx_http_atls_inner_lingers(inner)) {
        return ngx_http_atls_inner_recv_eof(c);
    }

    if (c->data == inner->hc && ngx_http_atls_inner_ends(inner)) {
        /* no more requests: what is not read is not served */

        ngx_http_atls_stream_end_session(inner->post, ngx_http_atls_end_closed);

        return ngx_http_atls_inner_recv_eof(c);
    }

    if (inner->raw) {
        n = ngx_http_atls_raw_recv(inner->raw, inner->post, buf, size);

    } else {

        rc = ngx_http_atls_stream_plaintext(inner->post, &data, &len);

        if (rc == NGX_OK) {
            n = ngx_min(size, len);
            ngx_memcpy(buf, data, n);
            ngx_http_atls_stream_take(inner->post, n);

        } else if (rc == NGX_DONE) {
            n = 0;

        } else {
            n = (rc == NGX_AGAIN) ? NGX_AGAIN : NGX_ERROR;
        }
    }

    ngx_log_debug2(NGX_LOG_DEBUG_EVENT, c->log, 0,
                   "atls recv: %z of %uz", n, size);

    if (n > 0) {

        /*
         * Code that sends a body on asks for more of it without an event, and
         * may so come to the end of the POST, for which there is none then.
         */

        c->read->ready = 1;

        inner->received = 1;

        return ngx_http_atls_inner_http2(inner, buf, n) ? NGX_ERROR : n;
    }

    if (n == NGX_AGAIN) {
        c->read->ready = 0;
        return NGX_AGAIN;
    }

    if (n == NGX_ERROR) {
        c->read->error = 1;
        return NGX_ERROR;
    }

    return ngx_http_atls_inner_recv_end(inner);
}


/*
 * Core reads from a connection that it is about to close, lest the peer lose
 * the end of the response.  Here it would wait in vain, or for bytes that are
 * of use to the next inner connection.
 */

static ngx_uint_t
ngx_http_atls_inner_lingers(ngx_http_atls_inner_t *inner)
{
    ngx_http_request_t  *r;

    if (inner->connection->data == inner->hc) {
        return 0;
    }

    r = inner->connection->data;

    return r->lingering_time && !r->discard_body;
}


/*
 * The POST has no more.  An inner connection between requests closes, which
 * says nothing on the wire, and so does one that only waits for its end.  A
 * request that is not received to its end waits for the next POST; but not one
 * that has begun in a POST to a worker that had been told to quit before: the
 * session would keep the worker, and what it goes by, for as long as it likes.
 * A POST of a handshake is another thing, since there is an end to these.
 */

static ssize_t
ngx_http_atls_inner_recv_end(ngx_http_atls_inner_t *inner)
{
    ngx_connection_t  *c;

    c = inner->connection;

    if (inner->raw || inner->draining
        || inner->post->end != ngx_http_atls_end_none
        || (c->data == inner->hc && (inner->preface == 0 || c->requests)))
    {
        return ngx_http_atls_inner_recv_eof(c);
    }

    c->read->ready = 0;
    ngx_http_atls_stream_park(inner->post);

    return NGX_AGAIN;
}


/* As ngx_unix_recv() does it: core looks at more than the result. */

static ssize_t
ngx_http_atls_inner_recv_eof(ngx_connection_t *c)
{
    c->read->ready = 0;
    c->read->eof = 1;

    return 0;
}


/*
 * Inner requests are HTTP/1.x: since 1.25.1 nginx would also take a client's
 * HTTP/2 preface, where the server has "http2 on".
 */

static ngx_uint_t
ngx_http_atls_inner_http2(ngx_http_atls_inner_t *inner, u_char *buf, size_t n)
{
    static u_char  preface[] = "PRI ";

    size_t             i;
    ngx_connection_t  *c;

    c = inner->connection;

    if (c->data != inner->hc || c->requests) {
        return 0;
    }

    for (i = 0; i < n && buf[i] == preface[inner->preface]; i++) {

        inner->preface++;

        if (inner->preface == sizeof(preface) - 1) {
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "atls client sent HTTP/2 inside the session");
            c->read->error = 1;
            return 1;
        }
    }

    return 0;
}


static ssize_t
ngx_http_atls_inner_recv_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    size_t      size;
    ngx_buf_t  *b;

    b = in->buf;
    size = b->end - b->last;

    if (limit && (off_t) size > limit) {
        size = (size_t) limit;
    }

    /* core reads requests with recv(); tunnels may come here */

    return ngx_http_atls_inner_recv(c, b->last, size);
}


static ssize_t
ngx_http_atls_inner_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    off_t         sent;
    ngx_buf_t     b;
    ngx_chain_t   out;

    ngx_memzero(&b, sizeof(ngx_buf_t));

    b.pos = buf;
    b.last = buf + size;
    b.memory = 1;

    out.buf = &b;
    out.next = NULL;

    sent = c->sent;

    if (ngx_http_atls_inner_send_chain(c, &out, 0) == NGX_CHAIN_ERROR) {
        return NGX_ERROR;
    }

    sent = c->sent - sent;

    return (sent == 0 && size) ? NGX_AGAIN : (ssize_t) sent;
}


static ngx_chain_t *
ngx_http_atls_inner_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    off_t                   send;
    size_t                  max, record;
    ssize_t                 n;
    ngx_int_t               rc;
    ngx_uint_t              niov;
    struct iovec            iov[NGX_HTTP_ATLS_IOVS];
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_inner_get(c);

    if (inner->parked) {
        ngx_http_atls_inner_set_answering(inner);
        inner->blocked = 1;
        c->write->ready = 0;
        return in;
    }

    if (inner->post == NULL) {
        return ngx_http_atls_inner_send_error(c);
    }

    record = ngx_http_atls_stream_max(inner->post);
    send = 0;

    for ( ;; ) {
        max = record;

        if (limit && (off_t) max > limit - send) {
            max = (size_t) (limit - send);
        }

        n = ngx_http_atls_inner_gather(c, in, max, iov, &niov);

        if (n == NGX_ERROR) {
            return ngx_http_atls_inner_send_error(c);
        }

        if (n == 0) {
            return ngx_chain_update_sent(in, 0);
        }

        rc = ngx_http_atls_stream_seal(inner->post, iov, niov, n);

        if (rc == NGX_AGAIN) {
            c->write->ready = 0;
            return in;
        }

        if (rc == NGX_ERROR) {
            return ngx_http_atls_inner_send_error(c);
        }

        ngx_http_atls_inner_set_answering(inner);

        c->sent += n;
        send += n;

        in = ngx_chain_update_sent(in, n);

        if (limit && send >= limit) {
            return in;
        }
    }
}


/*
 * RFC 9110, section 15.2: an interim response comes before the final one, which
 * is what may be cut.
 */

static void
ngx_http_atls_inner_set_answering(ngx_http_atls_inner_t *inner)
{
    ngx_http_request_t  *r;

    if (inner->connection->data == inner->hc) {
        return;
    }

    r = inner->connection->data;

    if (r->main->header_sent) {
        inner->answering = 1;
    }
}


static ngx_chain_t *
ngx_http_atls_inner_send_error(ngx_connection_t *c)
{
    c->error = 1;
    c->write->error = 1;

    return NGX_CHAIN_ERROR;
}


/* The number of bytes, or NGX_ERROR for a buffer that can't be sent. */

static ssize_t
ngx_http_atls_inner_gather(ngx_connection_t *c, ngx_chain_t *in, size_t max,
    struct iovec *iov, ngx_uint_t *niov)
{
    size_t      n, size;
    ngx_buf_t  *b;

    n = 0;
    *niov = 0;

    for (/* void */; in && n < max && *niov < NGX_HTTP_ATLS_IOVS;
         in = in->next)
    {
        b = in->buf;

        if (ngx_buf_special(b)) {
            continue;
        }

        if (!ngx_buf_in_memory(b)) {
            ngx_log_error(NGX_LOG_ALERT, c->log, 0,
                          "file buf in atls writer "
                          "t:%d r:%d f:%d %p %p-%p %p %O-%O",
                          b->temporary, b->recycled, b->in_file, b->start,
                          b->pos, b->last, b->file, b->file_pos,
                          b->file_last);
            return NGX_ERROR;
        }

        if (b->pos == b->last) {
            continue;
        }

        size = ngx_min((size_t) (b->last - b->pos), max - n);

        iov[*niov].iov_base = b->pos;
        iov[*niov].iov_len = size;

        (*niov)++;
        n += size;
    }

    return n;
}


/* Of the inner connection's pool: nginx has closed the connection. */

static void
ngx_http_atls_inner_closed(void *data)
{
    ngx_http_atls_inner_t *inner = data;

    if (inner->parked) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                       "atls parked inner connection closed");

        ngx_http_atls_inner_unpark(inner);
        ngx_http_atls_session_abandon(inner->zone, inner->info.id, inner,
                                      ngx_http_atls_inner_end(inner));
        return;
    }

    if (inner->post == NULL) {
        return;
    }

    ngx_http_atls_stream_inner_closed(inner->post,
                                      ngx_http_atls_inner_end(inner));
}


/*
 * What an inner connection that has closed means for its session, by the first
 * line that applies:
 *
 *     nginx would have kept it alive                        goes on
 *     it was between two requests                           goes on
 *     it has received nothing of what there was to receive  goes on
 *     raw, with a whole answer or with a 502                goes on
 *     raw, with a part of an answer                         ends, cut
 *     an error, a time-out or something left to send, in    ends, cut
 *     a response
 *     any other: no keep-alive, or a request without        ends
 *     a response
 *
 * In the cases of "cut", core sends no close_notify with TLS, either.
 */

static ngx_http_atls_end_e
ngx_http_atls_inner_end(const ngx_http_atls_inner_t *inner)
{
    ngx_connection_t  *c;

    c = inner->connection;

    if (inner->post && ngx_http_atls_inner_keepalive(inner)) {
        return ngx_http_atls_end_none;
    }

    if (inner->answering
        && (inner->raw || c->error || c->timedout || c->buffered))
    {
        return ngx_http_atls_end_cut;
    }

    return ngx_http_atls_end_closed;
}


/* Not if it is parked: it is in the middle of a request. */

static ngx_uint_t
ngx_http_atls_inner_keepalive(const ngx_http_atls_inner_t *inner)
{
    ngx_connection_t  *c;

    c = inner->connection;

    if (inner->keepalive || c->idle) {
        return 1;
    }

    if (c->requests == 0 && inner->preface == 0) {

        /* core had no memory to read what there was */

        return inner->post->plain_len == 0;
    }

    if (inner->raw == NULL || !inner->raw->ended) {
        return 0;
    }

    return inner->post->bad_gateway
           || (inner->raw->answered && !c->buffered
               && !c->error && !c->timedout);
}
