
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_link_pool.h"
#include "ngx_http_atls_relay_mail.h"
#include "ngx_http_atls_relay_peer.h"
#include "ngx_http_atls_relayed.h"


#define NGX_HTTP_ATLS_RELAY_CHECK    1000      /* is the other worker alive? */
#define NGX_HTTP_ATLS_RELAY_MISSING  3         /* checks until a machine that
                                                  the store does not know is
                                                  lost */


static ngx_int_t ngx_http_atls_relay_peer_connection(
    ngx_http_atls_relay_t *relay, ngx_socket_t fd);
static ngx_int_t ngx_http_atls_relay_peer_post(ngx_http_atls_relay_t *relay,
    ngx_socket_t fd);
static ngx_int_t ngx_http_atls_relay_peer_init(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_atls_relay_peer_get(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_atls_relay_peer_free(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static void ngx_http_atls_relay_peer_check(ngx_event_t *ev);
static ngx_uint_t ngx_http_atls_relay_peer_is_lost(
    ngx_http_atls_relay_t *relay, ngx_connection_t *c);
static void ngx_http_atls_relay_peer_named(ngx_http_atls_naming_t *naming);
static ssize_t ngx_http_atls_relay_peer_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ssize_t ngx_http_atls_relay_peer_lost(ngx_http_atls_relay_t *relay,
    u_char *buf, size_t size);
static ngx_chain_t *ngx_http_atls_relay_peer_send_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);


static ngx_http_upstream_srv_conf_t  ngx_http_atls_relay_upstream;


static ngx_str_t  ngx_http_atls_relay_name = ngx_string("another worker");


ngx_http_atls_relay_t *
ngx_http_atls_relay_get(ngx_http_request_t *r)
{
    ngx_http_atls_post_t  *post;

    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);

    return post->relay;
}


/* Read-only, and the same for all configurations. */

ngx_http_upstream_srv_conf_t *
ngx_http_atls_relay_peer_upstream(void)
{
    ngx_http_atls_relay_upstream.peer.init = ngx_http_atls_relay_peer_init;
    ngx_http_atls_relay_upstream.host = ngx_http_atls_relay_name;

    return &ngx_http_atls_relay_upstream;
}


ngx_uint_t
ngx_http_atls_relay_peer_stuck(ngx_http_atls_owner_t *owner, ngx_msec_t timeout,
    ngx_log_t *log)
{
    ngx_msec_t  silence;

    silence = ngx_http_atls_worker_silence(owner);

    if (silence < timeout) {
        return 0;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "atls POST abandoned: no response from worker process %P "
                  "for %M milliseconds",
                  ngx_http_atls_worker_pid(owner), silence);

    return 1;
}


ngx_int_t
ngx_http_atls_relay_peer_connect(ngx_http_atls_relay_t *relay)
{
    ngx_int_t      rc;
    ngx_log_t     *log;
    ngx_socket_t   fd[2];

    log = relay->request->connection->log;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == -1) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "socketpair() for \"atls\" failed");
        return NGX_ERROR;
    }

    if (ngx_nonblocking(fd[0]) == -1 || ngx_nonblocking(fd[1]) == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      ngx_nonblocking_n " for \"atls\" failed");
        goto failed;
    }

    if (ngx_http_atls_relay_peer_connection(relay, fd[0]) != NGX_OK) {
        goto failed;
    }

    rc = ngx_http_atls_relay_peer_post(relay, fd[1]);

    (void) ngx_close_socket(fd[1]);

    return rc;

failed:

    (void) ngx_close_socket(fd[0]);
    (void) ngx_close_socket(fd[1]);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_atls_relay_peer_connection(ngx_http_atls_relay_t *relay,
    ngx_socket_t fd)
{
    ngx_int_t          rc;
    ngx_log_t         *log;
    ngx_connection_t  *c;

    log = relay->request->connection->log;

    c = ngx_get_connection(fd, log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->type = SOCK_STREAM;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    c->recv = ngx_recv;
    c->recv_chain = ngx_recv_chain;
    c->send = ngx_send;
    c->send_chain = ngx_send_chain;

    c->log = log;
    c->write->ready = 1;

    ngx_http_atls_relay_peer_use(relay, c);

    if (ngx_add_conn) {
        rc = ngx_add_conn(c);

    } else {
        rc = ngx_add_event(c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT);
    }

    if (rc == NGX_ERROR) {
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        relay->connection = NULL;

        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_atls_relay_peer_use(ngx_http_atls_relay_t *relay, ngx_connection_t *c)
{
    relay->connection = c;
    relay->recv = c->recv;
    relay->send_chain = c->send_chain;

    c->recv = ngx_http_atls_relay_peer_recv;
    c->send_chain = ngx_http_atls_relay_peer_send_chain;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    c->read->log = c->log;
    c->write->log = c->log;

    c->read->handler = ngx_http_empty_handler;
    c->write->handler = ngx_http_empty_handler;
}


/* Sends one end of the connection to the other worker, with client data. */

static ngx_int_t
ngx_http_atls_relay_peer_post(ngx_http_atls_relay_t *relay, ngx_socket_t fd)
{
    ngx_log_t             *log;
    ngx_http_atls_mail_t   mail;

    log = relay->request->connection->log;

    if (relay->mail) {
        return ngx_http_atls_mailbox_send(&relay->owner, relay->mail, fd, log);
    }

    if (ngx_http_atls_relay_mail(relay->request, relay->home, &mail)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_atls_mailbox_send(&relay->owner, &mail, fd, log);
}


void
ngx_http_atls_relay_peer_cleanup(void *data)
{
    ngx_http_atls_relay_t *relay = data;

    ngx_http_atls_node_cancel(&relay->naming);

    if (relay->connection) {
        ngx_http_atls_link_pool_close(relay->connection);
        relay->connection = NULL;
    }

    if (relay->started && !relay->answered) {
        ngx_http_atls_count(relays[ngx_http_atls_relay_abandoned]);
    }
}


static ngx_int_t
ngx_http_atls_relay_peer_init(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    u->peer.data = ngx_http_atls_relay_get(r);
    u->peer.get = ngx_http_atls_relay_peer_get;
    u->peer.free = ngx_http_atls_relay_peer_free;
    u->peer.name = &ngx_http_atls_relay_name;
    u->peer.tries = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_relay_peer_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_atls_relay_t  *relay = data;

    ngx_connection_t  *c;

    c = relay->connection;
    relay->connection = NULL;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "atls relay get peer, fd:%d", c->fd);

    c->log_error = pc->log_error;

    pc->connection = c;

    if (relay->head.len) {

        /* otherwise, the peer would not be freed */

        pc->sockaddr = &relay->naming.node.sockaddr.sockaddr;
        pc->socklen = relay->naming.node.socklen;
    }

    relay->timer.handler = ngx_http_atls_relay_peer_check;
    relay->timer.data = c;
    relay->timer.log = pc->log;

    ngx_add_timer(&relay->timer, NGX_HTTP_ATLS_RELAY_CHECK);

    return NGX_DONE;
}


/* A connection to another machine is kept, if the response is complete. */

static void
ngx_http_atls_relay_peer_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_atls_relay_t *relay = data;

    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    c = pc->connection;
    u = relay->request->upstream;

    pc->tries = 0;

    if (c == NULL) {
        return;
    }

    c->recv = relay->recv;
    c->send_chain = relay->send_chain;

    if ((state & NGX_PEER_FAILED) || relay->lost
        || !u->header_sent || u->length != 0 || !u->request_body_sent
        || relay->status.http_version != NGX_HTTP_VERSION_11
        || u->headers_in.connection_close || u->buffer.pos != u->buffer.last)
    {
        return;
    }

    pc->connection = NULL;

    ngx_http_atls_link_pool_put(&relay->naming.node, c);
}


/*
 * When a worker exits, its end of the connection is closed, but only if it has
 * received it.  Otherwise, the message stays in the mailbox until a new
 * process reads it, which may never happen.  If a worker is stuck, the
 * connection is not closed at all.
 */

static void
ngx_http_atls_relay_peer_check(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_http_atls_relay_t  *relay;

    c = ev->data;
    relay = ngx_http_atls_relay_get(c->data);

    if (ngx_http_atls_relay_peer_is_lost(relay, c)) {
        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                       "atls relay lost worker %uD, stuck:%d", relay->owner.id,
                       (int) relay->stuck);

        c->read->ready = 1;
        ngx_post_event(c->read, &ngx_posted_events);

        return;
    }

    ngx_add_timer(ev, NGX_HTTP_ATLS_RELAY_CHECK);
}


static ngx_uint_t
ngx_http_atls_relay_peer_is_lost(ngx_http_atls_relay_t *relay,
    ngx_connection_t *c)
{
    ngx_http_upstream_t  *u;

    u = relay->request->upstream;

    if (relay->head.len) {

        /* another machine; if the store does not answer, nobody knows */

        if (!relay->lost && relay->naming.op == NULL) {
            relay->naming.handler = ngx_http_atls_relay_peer_named;
            relay->naming.data = relay;

            (void) ngx_http_atls_node_find(relay->main_conf,
                                           relay->naming.node.number,
                                           &relay->naming);
        }

    } else if (!ngx_http_atls_worker_alive(&relay->owner)) {
        relay->lost = 1;

    } else if (!u->header_sent || u->length != 0) {

        /* the response is incomplete */

        relay->stuck = ngx_http_atls_relay_peer_stuck(&relay->owner,
                                                      relay->timeout, c->log);
        relay->lost = relay->stuck;
    }

    return relay->lost;
}


static void
ngx_http_atls_relay_peer_named(ngx_http_atls_naming_t *naming)
{
    ngx_http_atls_relay_t *relay = naming->data;

    if (naming->rc == NGX_OK && !naming->doubtful) {
        relay->missing = 0;

    } else if (naming->rc == NGX_DECLINED
               || (naming->rc == NGX_OK
                   && ++relay->missing >= NGX_HTTP_ATLS_RELAY_MISSING))
    {
        relay->lost = 1;
    }
}


/*
 * If a worker exits without a response, the handshake is lost: the client gets
 * the same response as for an unknown session.
 */

static ssize_t
ngx_http_atls_relay_peer_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ssize_t                 n;
    ngx_http_request_t     *r;
    ngx_http_atls_relay_t  *relay;

    r = c->data;
    relay = ngx_http_atls_relay_get(r);

    n = relay->recv(c, buf, size);

    if (n == NGX_AGAIN && relay->lost) {
        c->read->error = 1;
        n = NGX_ERROR;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls relay recv: %z of %uz", n, size);

    if (n == NGX_AGAIN || relay->answered) {
        return n;
    }

    relay->answered = 1;

    if (n > 0) {
        ngx_http_atls_count(relays[ngx_http_atls_relay_passed]);
        return n;
    }

    ngx_http_atls_count(relays[relay->stuck ? ngx_http_atls_relay_stuck
                                            : ngx_http_atls_relay_lost]);

    if (!relay->stuck) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "atls session lost with its worker process");
    }

    c->read->error = 0;
    c->read->eof = 0;

    return ngx_http_atls_relay_peer_lost(relay, buf, size);
}


/* Writes the same response as the other worker would. */

static ssize_t
ngx_http_atls_relay_peer_lost(ngx_http_atls_relay_t *relay, u_char *buf,
    size_t size)
{
    ngx_str_t                  cookie;
    ngx_http_request_t        *r;
    ngx_http_atls_post_t      *post;
    ngx_http_atls_loc_conf_t  *alcf;

    r = relay->request;
    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);
    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    if (!(post->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)) {
        return ngx_http_atls_problem_write(NGX_HTTP_ATLS_SESSION_LOST, NULL,
                                           buf, size)
               - buf;
    }

    if (ngx_http_atls_cookie_header(r, &alcf->cookie, NULL, NULL, 0,
                                    ngx_http_atls_relayed_secure(r->connection),
                                    &cookie)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_atls_problem_write(NGX_HTTP_ATLS_SESSION_LOST, &cookie, buf,
                                       size)
           - buf;
}


/* After a write error, there may still be a response to read. */

static ngx_chain_t *
ngx_http_atls_relay_peer_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    ngx_chain_t  *cl;

    cl = ngx_http_atls_relay_get(c->data)->send_chain(c, in, limit);

    if (cl != NGX_CHAIN_ERROR) {
        return cl;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls relay send failed, reading the response");

    c->write->error = 0;
    c->error = 0;

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    c->read->ready = 1;
    ngx_post_event(c->read, &ngx_posted_events);

    return NULL;
}
