
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_proxy.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_raw.h"
#include "ngx_http_atls_relay.h"
#include "ngx_http_atls_relayed.h"


/*
 * The other worker has all the timeouts that matter, and it is known at once if
 * it ends, and soon if it is stuck: this is for what nobody has thought of.
 */

#define NGX_HTTP_ATLS_RELAY_TIMEOUT  (24 * 60 * 60 * 1000)

#define NGX_HTTP_ATLS_RELAY_CHECK    1000      /* is the other worker alive? */

/* it may have much to do for a moment, whatever the time-out is */

#define NGX_HTTP_ATLS_RELAY_SILENCE  5000


typedef struct {
    ngx_http_request_t        *request;
    ngx_http_atls_owner_t      owner;
    ngx_connection_t          *connection;     /* until upstream has it */
    ngx_str_t                  cookie;
    ngx_http_status_t          status;
    ngx_http_chunked_t         chunked;

    ngx_chain_t               *free;           /* framing of the body sent */
    ngx_chain_t               *busy;

    ngx_event_t                timer;
    ngx_msec_t                 timeout;        /* of an owner that is stuck */

    unsigned                   lost:1;         /* the owner is no more */
    unsigned                   stuck:1;        /* or does nothing */
    unsigned                   head_sent:1;
    unsigned                   answered:1;     /* at least a byte has come */
} ngx_http_atls_relay_t;


static ngx_msec_t ngx_http_atls_relay_timeout(ngx_http_request_t *r,
    ngx_uint_t half_open);
static ngx_uint_t ngx_http_atls_relay_stuck(ngx_http_atls_owner_t *owner,
    ngx_msec_t timeout, ngx_log_t *log);
static ngx_int_t ngx_http_atls_relay_unlimited(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_relay_connect(ngx_http_atls_relay_t *relay);
static ngx_int_t ngx_http_atls_relay_connection(ngx_http_atls_relay_t *relay,
    ngx_socket_t fd);
static ngx_int_t ngx_http_atls_relay_post(ngx_http_atls_relay_t *relay,
    ngx_socket_t fd);
static void ngx_http_atls_relay_cleanup(void *data);

static ngx_int_t ngx_http_atls_relay_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_atls_relay_get_peer(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_atls_relay_free_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static void ngx_http_atls_relay_check(ngx_event_t *ev);
static ssize_t ngx_http_atls_relay_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ssize_t ngx_http_atls_relay_lost(ngx_http_atls_relay_t *relay,
    u_char *buf, size_t size);
static ngx_chain_t *ngx_http_atls_relay_send_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);

static ngx_int_t ngx_http_atls_relay_create_request(ngx_http_request_t *r);
static off_t ngx_http_atls_relay_body_length(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_relay_reinit_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_relay_body_filter(void *data, ngx_chain_t *in);
static ngx_chain_t *ngx_http_atls_relay_framing(ngx_http_atls_relay_t *relay,
    ngx_chain_t ***ll, const char *fmt, off_t size);
static ngx_int_t ngx_http_atls_relay_process_status(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_relay_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_relay_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_relay_filter_init(void *data);
static ngx_int_t ngx_http_atls_relay_filter(void *data, ssize_t bytes);
static void ngx_http_atls_relay_abort_request(ngx_http_request_t *r);
static void ngx_http_atls_relay_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);


static ngx_http_upstream_srv_conf_t  ngx_http_atls_relay_upstream;


static ngx_str_t  ngx_http_atls_relay_name = ngx_string("another worker");


/* What the other worker says of the session; all else is said here. */

static ngx_str_t  ngx_http_atls_relay_headers[] = {
    ngx_string("content-type"),
    ngx_string("content-length"),
    ngx_string("transfer-encoding"),
    ngx_string("set-cookie"),
    ngx_string("allow"),
    ngx_string("retry-after"),
    ngx_null_string
};


ngx_int_t
ngx_http_atls_relay_conf(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf)
{
    ngx_hash_init_t            hash;
    ngx_http_upstream_conf_t  *relay, prev;

    static ngx_str_t  none[] = { ngx_null_string };

    /* only ever read: the same for all configurations */

    ngx_http_atls_relay_upstream.peer.init = ngx_http_atls_relay_init_peer;
    ngx_http_atls_relay_upstream.host = ngx_http_atls_relay_name;

    relay = &conf->relay;

    /*
     * Zeroes are right for all others: no buffering, no cache, no other peer
     * to try, no intercepted errors.
     */

    ngx_str_set(&relay->module, "atls");

    relay->upstream = &ngx_http_atls_relay_upstream;
    relay->connect_timeout = NGX_HTTP_ATLS_RELAY_TIMEOUT;
    relay->send_timeout = NGX_HTTP_ATLS_RELAY_TIMEOUT;
    relay->read_timeout = NGX_HTTP_ATLS_RELAY_TIMEOUT;
    relay->buffer_size = 16384;
    relay->next_upstream = NGX_HTTP_UPSTREAM_FT_OFF;

    /* the answer may begin before the body is at its end */

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
 * All that can be short is got before anything of the request is touched: then
 * it can be answered, and the session is as it was.
 */

ngx_int_t
ngx_http_atls_relay(ngx_http_request_t *r, ngx_http_atls_owner_t *owner,
    ngx_uint_t half_open, ngx_str_t *cookie)
{
    ngx_int_t                  rc;
    ngx_msec_t                 timeout;
    ngx_http_cleanup_t        *cln;
    ngx_http_upstream_t       *u;
    ngx_http_atls_relay_t     *relay;
    ngx_http_atls_loc_conf_t  *alcf;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls relay to worker %uD in slot %uD",
                   owner->id, owner->slot);

    if (!ngx_http_atls_mailbox_known(owner)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "atls POST can't be relayed: there is no mailbox "
                      "for the process in slot %uD", owner->slot);
        return NGX_DECLINED;
    }

    timeout = ngx_http_atls_relay_timeout(r, half_open);

    if (ngx_http_atls_relay_stuck(owner, timeout, r->connection->log)) {
        return NGX_DECLINED;
    }

    relay = ngx_pcalloc(r->pool, sizeof(ngx_http_atls_relay_t));
    if (relay == NULL) {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    relay->request = r;
    relay->owner = *owner;
    relay->cookie = *cookie;
    relay->timeout = timeout;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    cln->handler = ngx_http_atls_relay_cleanup;
    cln->data = relay;

    if (ngx_http_atls_relay_unlimited(r) != NGX_OK
        || ngx_http_atls_relay_connect(relay) != NGX_OK
        || ngx_http_upstream_create(r) != NGX_OK)
    {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    ngx_http_set_ctx(r, relay, ngx_http_atls_module);

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    u = r->upstream;

    ngx_str_set(&u->schema, "atls://");

    u->output.tag = (ngx_buf_tag_t) &ngx_http_atls_module;
    u->conf = &alcf->relay;

    u->create_request = ngx_http_atls_relay_create_request;
    u->reinit_request = ngx_http_atls_relay_reinit_request;
    u->process_header = ngx_http_atls_relay_process_status;
    u->abort_request = ngx_http_atls_relay_abort_request;
    u->finalize_request = ngx_http_atls_relay_finalize_request;

    u->input_filter_init = ngx_http_atls_relay_filter_init;
    u->input_filter = ngx_http_atls_relay_filter;
    u->input_filter_ctx = relay;

    /* the answer of a handler may have been chosen from the request's type */

    ngx_str_null(&r->headers_out.content_type);

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_upstream_init);

    if (rc == NGX_HTTP_BAD_REQUEST && !r->connection->error) {
        r->keepalive = 0;
        return ngx_http_atls_problem(r, NGX_HTTP_ATLS_UNREADABLE_BODY);
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/*
 * Of an answer that does not come, as for a client that does not take it.  The
 * other worker would give up a handshake after its own time.
 */

static ngx_msec_t
ngx_http_atls_relay_timeout(ngx_http_request_t *r, ngx_uint_t half_open)
{
    ngx_msec_t                 timeout;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_atls_loc_conf_t  *alcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    timeout = clcf->send_timeout;

    if (half_open) {
        timeout = ngx_min(timeout, alcf->handshake_timeout);
    }

    return ngx_max(timeout, NGX_HTTP_ATLS_RELAY_SILENCE);
}


static ngx_uint_t
ngx_http_atls_relay_stuck(ngx_http_atls_owner_t *owner, ngx_msec_t timeout,
    ngx_log_t *log)
{
    ngx_msec_t  silence;

    silence = ngx_http_atls_worker_silence(owner);

    if (silence < timeout) {
        return 0;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "atls POST is given up: worker process %P has been stuck "
                  "for %M milliseconds",
                  ngx_http_atls_worker_pid(owner), silence);

    return 1;
}


/*
 * The other worker has the same limit, and can do what is to be done when a
 * body without a length turns out to be too large.  The configuration without
 * one is made once for a location: core still uses that of a request when the
 * request's pool is gone.
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


/* the connection */


static ngx_int_t
ngx_http_atls_relay_connect(ngx_http_atls_relay_t *relay)
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

    if (ngx_http_atls_relay_connection(relay, fd[0]) != NGX_OK) {
        goto failed;
    }

    rc = ngx_http_atls_relay_post(relay, fd[1]);

    (void) ngx_close_socket(fd[1]);

    return rc;

failed:

    (void) ngx_close_socket(fd[0]);
    (void) ngx_close_socket(fd[1]);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_atls_relay_connection(ngx_http_atls_relay_t *relay, ngx_socket_t fd)
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

    c->recv = ngx_http_atls_relay_recv;
    c->recv_chain = ngx_recv_chain;
    c->send = ngx_send;
    c->send_chain = ngx_http_atls_relay_send_chain;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    c->log = log;
    c->read->log = log;
    c->write->log = log;

    c->read->handler = ngx_http_empty_handler;
    c->write->handler = ngx_http_empty_handler;
    c->write->ready = 1;

    if (ngx_add_conn) {
        rc = ngx_add_conn(c);

    } else {
        rc = ngx_add_event(c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT);
    }

    if (rc == NGX_ERROR) {
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;

        return NGX_ERROR;
    }

    relay->connection = c;

    return NGX_OK;
}


/* Sends the other worker its end of the connection, with what it can't see. */

static ngx_int_t
ngx_http_atls_relay_post(ngx_http_atls_relay_t *relay, ngx_socket_t fd)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_atls_mail_t       mail;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_atls_loc_conf_t  *alcf;

    r = relay->request;
    c = r->connection;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&mail, offsetof(ngx_http_atls_mail_t, proxy));

    mail.endpoint = alcf->endpoint;

#if (NGX_HTTP_SSL)
    mail.secure = (c->ssl != NULL);
#endif

    /* upstream limits no rate of what it does not buffer */

    mail.limit_rate = r->limit_rate_set ? r->limit_rate
                      : ngx_http_complex_value_size(r, clcf->limit_rate, 0);
    mail.limit_rate_after = r->limit_rate_after_set ? r->limit_rate_after
                  : ngx_http_complex_value_size(r, clcf->limit_rate_after, 0);

    mail.socklen = ngx_min(c->socklen, (socklen_t) sizeof(ngx_sockaddr_t));
    ngx_memcpy(&mail.sockaddr, c->sockaddr, mail.socklen);

    mail.local_socklen = ngx_min(c->local_socklen,
                                 (socklen_t) sizeof(ngx_sockaddr_t));
    ngx_memcpy(&mail.local_sockaddr, c->local_sockaddr, mail.local_socklen);

    mail.listen_socklen = ngx_min(c->listening->socklen,
                                  (socklen_t) sizeof(ngx_sockaddr_t));
    ngx_memcpy(&mail.listen_sockaddr, c->listening->sockaddr,
               mail.listen_socklen);

    if (c->proxy_protocol) {
        mail.proxy_size = ngx_http_atls_proxy_size(c->proxy_protocol);

        if (mail.proxy_size > NGX_HTTP_ATLS_PROXY_SIZE) {
            ngx_log_error(NGX_LOG_ALERT, c->log, 0,
                          "atls PROXY protocol header of %uz bytes",
                          mail.proxy_size);
            return NGX_ERROR;
        }

        ngx_http_atls_proxy_write(&mail.proxy.protocol, c->proxy_protocol);
    }

    return ngx_http_atls_mailbox_send(&relay->owner, &mail, fd, c->log);
}


static void
ngx_http_atls_relay_cleanup(void *data)
{
    ngx_http_atls_relay_t *relay = data;

    if (relay->connection) {
        ngx_close_connection(relay->connection);
        relay->connection = NULL;
    }
}


/* the peer */


static ngx_int_t
ngx_http_atls_relay_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    u->peer.data = ngx_http_get_module_ctx(r, ngx_http_atls_module);
    u->peer.get = ngx_http_atls_relay_get_peer;
    u->peer.free = ngx_http_atls_relay_free_peer;
    u->peer.name = &ngx_http_atls_relay_name;
    u->peer.tries = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_relay_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_atls_relay_t  *relay = data;

    ngx_connection_t  *c;

    c = relay->connection;
    relay->connection = NULL;

    c->log_error = pc->log_error;

    pc->connection = c;

    relay->timer.handler = ngx_http_atls_relay_check;
    relay->timer.data = c;
    relay->timer.log = pc->log;

    ngx_add_timer(&relay->timer, NGX_HTTP_ATLS_RELAY_CHECK);

    return NGX_DONE;
}


static void
ngx_http_atls_relay_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    pc->tries = 0;
}


/*
 * The end of a worker closes its end of the connection, if that has reached it:
 * what is sent to one that has just ended stays in its mailbox until there is a
 * new process in its slot, which may be never.  One that is stuck closes
 * nothing at all.
 */

static void
ngx_http_atls_relay_check(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_upstream_t    *u;
    ngx_http_atls_relay_t  *relay;

    c = ev->data;
    r = c->data;
    u = r->upstream;
    relay = ngx_http_get_module_ctx(r, ngx_http_atls_module);

    if (!ngx_http_atls_worker_alive(&relay->owner)) {
        relay->lost = 1;

    } else if (!u->header_sent || u->length != 0) {

        /* something of the response is still to come */

        relay->stuck = ngx_http_atls_relay_stuck(&relay->owner, relay->timeout,
                                                 c->log);
        relay->lost = relay->stuck;
    }

    if (relay->lost) {
        c->read->ready = 1;
        ngx_post_event(c->read, &ngx_posted_events);

        return;
    }

    ngx_add_timer(ev, NGX_HTTP_ATLS_RELAY_CHECK);
}


/*
 * A worker that ends without an answer has taken the handshake with it: to the
 * client, its session is gone.
 */

static ssize_t
ngx_http_atls_relay_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ssize_t                 n;
    ngx_http_request_t     *r;
    ngx_http_atls_relay_t  *relay;

    n = ngx_recv(c, buf, size);

    r = c->data;
    relay = ngx_http_get_module_ctx(r, ngx_http_atls_module);

    if (n == NGX_AGAIN && relay->lost) {
        c->read->error = 1;
        n = NGX_ERROR;
    }

    if (n == NGX_AGAIN || relay->answered) {
        return n;
    }

    relay->answered = 1;

    if (n > 0) {
        return n;
    }

    if (!relay->stuck) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "atls session was lost with its worker process");
    }

    c->read->error = 0;
    c->read->eof = 0;

    return ngx_http_atls_relay_lost(relay, buf, size);
}


/* A response as the other worker would have made it. */

static ssize_t
ngx_http_atls_relay_lost(ngx_http_atls_relay_t *relay, u_char *buf,
    size_t size)
{
    ngx_str_t                  cookie;
    ngx_http_request_t        *r;
    ngx_http_atls_loc_conf_t  *alcf;

    r = relay->request;
    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    if (ngx_http_atls_cookie_header(r, &alcf->cookie, NULL,
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


/* What can't be sent is not the end: the answer, above, has to be read. */

static ngx_chain_t *
ngx_http_atls_relay_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    ngx_chain_t  *cl;

    cl = ngx_send_chain(c, in, limit);

    if (cl != NGX_CHAIN_ERROR) {
        return cl;
    }

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


/* the request */


static ngx_int_t
ngx_http_atls_relay_create_request(ngx_http_request_t *r)
{
    off_t                      length;
    ngx_buf_t                 *b;
    ngx_str_t                 *type, host;
    ngx_chain_t               *cl;
    ngx_http_upstream_t       *u;
    ngx_http_atls_relay_t     *relay;
    ngx_http_atls_loc_conf_t  *alcf;

    u = r->upstream;
    relay = ngx_http_get_module_ctx(r, ngx_http_atls_module);
    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    type = &r->headers_in.content_type->value;

    ngx_http_atls_raw_host(r, &host);

    b = ngx_create_temp_buf(r->pool,
                            sizeof("POST  HTTP/1.1" CRLF
                                   "Host: " CRLF
                                   "Connection: close" CRLF
                                   "Content-Type: " CRLF
                                   "Cookie: =" CRLF
                                   "Transfer-Encoding: chunked" CRLF CRLF)
                            + r->unparsed_uri.len + host.len
                            + type->len + alcf->cookie.name.len
                            + relay->cookie.len + NGX_OFF_T_LEN);
    if (b == NULL) {
        return NGX_ERROR;
    }

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    /* of a body that is being read upstream adds what there is itself */

    cl->buf = b;
    cl->next = r->request_body_no_buffering ? NULL : u->request_bufs;
    u->request_bufs = cl;

    b->flush = 1;
    b->last = ngx_sprintf(b->last, "POST %V HTTP/1.1" CRLF
                          "Host: %V" CRLF
                          "Connection: close" CRLF
                          "Content-Type: %V" CRLF
                          "Cookie: %V=%V" CRLF,
                          &r->unparsed_uri, &host, type,
                          &alcf->cookie.name, &relay->cookie);

    length = ngx_http_atls_relay_body_length(r);

    if (length >= 0) {
        b->last = ngx_sprintf(b->last, "Content-Length: %O" CRLF CRLF, length);

    } else {
        b->last = ngx_cpymem(b->last,
                             "Transfer-Encoding: chunked" CRLF CRLF,
                             sizeof("Transfer-Encoding: chunked" CRLF CRLF)
                             - 1);

        u->output.output_filter = ngx_http_atls_relay_body_filter;
        u->output.filter_ctx = relay;
    }

    return NGX_OK;
}


/* -1: not known yet. */

static off_t
ngx_http_atls_relay_body_length(ngx_http_request_t *r)
{
    off_t         length;
    ngx_chain_t  *cl;

    if (r->reading_body) {
        return r->headers_in.chunked ? -1 : r->headers_in.content_length_n;
    }

    length = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        length += ngx_buf_size(cl->buf);
    }

    return length;
}


static ngx_int_t
ngx_http_atls_relay_reinit_request(ngx_http_request_t *r)
{
    /* there is one peer and one try */

    return NGX_ERROR;
}


/* Puts the body into chunks, RFC 9112, section 7.1. */

static ngx_int_t
ngx_http_atls_relay_body_filter(void *data, ngx_chain_t *in)
{
    ngx_http_atls_relay_t *relay = data;

    off_t                 size;
    ngx_int_t             rc;
    ngx_uint_t            last;
    ngx_chain_t          *cl, *out, **ll;
    ngx_http_upstream_t  *u;

    u = relay->request->upstream;

    out = NULL;
    ll = &out;

    if (in && !relay->head_sent) {
        relay->head_sent = 1;

        cl = ngx_alloc_chain_link(relay->request->pool);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        cl->buf = in->buf;
        cl->next = NULL;
        *ll = cl;
        ll = &cl->next;

        in = in->next;
    }

    size = 0;
    last = 0;

    for (cl = in; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
        last |= cl->buf->last_buf;
    }

    if (size && ngx_http_atls_relay_framing(relay, &ll, "%xO" CRLF, size)
                == NULL)
    {
        return NGX_ERROR;
    }

    for ( /* void */; in; in = in->next) {

        if (ngx_buf_size(in->buf) == 0) {
            continue;
        }

        cl = ngx_alloc_chain_link(relay->request->pool);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        cl->buf = in->buf;
        cl->next = NULL;
        *ll = cl;
        ll = &cl->next;
    }

    if (size && ngx_http_atls_relay_framing(relay, &ll, CRLF, 0) == NULL) {
        return NGX_ERROR;
    }

    if (last && ngx_http_atls_relay_framing(relay, &ll, "0" CRLF CRLF, 0)
                == NULL)
    {
        return NGX_ERROR;
    }

    rc = ngx_chain_writer(&u->writer, out);

    ngx_chain_update_chains(relay->request->pool, &relay->free, &relay->busy,
                            &out, (ngx_buf_tag_t) &ngx_http_atls_relay_conf);

    return rc;
}


static ngx_chain_t *
ngx_http_atls_relay_framing(ngx_http_atls_relay_t *relay, ngx_chain_t ***ll,
    const char *fmt, off_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(relay->request->pool, &relay->free);
    if (cl == NULL) {
        return NULL;
    }

    b = cl->buf;

    if (b->start == NULL) {
        b->start = ngx_palloc(relay->request->pool,
                              NGX_OFF_T_LEN + sizeof(CRLF));
        if (b->start == NULL) {
            return NULL;
        }

        b->end = b->start + NGX_OFF_T_LEN + sizeof(CRLF);
        b->temporary = 1;
        b->tag = (ngx_buf_tag_t) &ngx_http_atls_relay_conf;
    }

    b->flush = 1;
    b->pos = b->start;
    b->last = ngx_sprintf(b->start, fmt, size);

    **ll = cl;
    *ll = &cl->next;

    return cl;
}


/* the response */


static ngx_int_t
ngx_http_atls_relay_process_status(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_upstream_t    *u;
    ngx_http_atls_relay_t  *relay;

    u = r->upstream;
    relay = ngx_http_get_module_ctx(r, ngx_http_atls_module);

    rc = ngx_http_parse_status_line(r, &u->buffer, &relay->status);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    u->headers_in.status_n = relay->status.code;

    if (u->state) {
        u->state->status = relay->status.code;
    }

    u->process_header = ngx_http_atls_relay_process_header;

    return ngx_http_atls_relay_process_header(r);
}


static ngx_int_t
ngx_http_atls_relay_process_header(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    for ( ;; ) {

        rc = ngx_http_parse_header_line(r, &u->buffer, 1);

        if (rc == NGX_OK) {
            if (ngx_http_atls_relay_header(r) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc != NGX_HTTP_PARSE_HEADER_DONE) {
            return NGX_HTTP_UPSTREAM_INVALID_HEADER;
        }

        return NGX_OK;
    }
}


/*
 * Headers that the location adds to all its responses are added here: those
 * that the other worker has added are left out.
 */

static ngx_int_t
ngx_http_atls_relay_header(ngx_http_request_t *r)
{
    u_char                         *p;
    ngx_str_t                      *name, *cookie, value;
    ngx_table_elt_t                *h;
    ngx_http_upstream_t            *u;
    ngx_http_atls_loc_conf_t       *alcf;
    ngx_http_upstream_header_t     *hh;
    ngx_http_upstream_main_conf_t  *umcf;

    u = r->upstream;

    value.data = r->header_start;
    value.len = r->header_end - r->header_start;

    for (name = ngx_http_atls_relay_headers; name->len; name++) {
        if (name->len == (size_t) (r->header_name_end - r->header_name_start)
            && ngx_strncasecmp(name->data, r->header_name_start, name->len)
               == 0)
        {
            break;
        }
    }

    if (name->len == 0) {
        return NGX_OK;
    }

    if (name->data[0] == 's') {

        /* of cookies, the session's */

        alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);
        cookie = &alcf->cookie.name;

        if (value.len <= cookie->len || value.data[cookie->len] != '='
            || ngx_strncmp(value.data, cookie->data, cookie->len) != 0)
        {
            return NGX_OK;
        }
    }

    h = ngx_list_push(&u->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    /* the buffer is used for the body later */

    p = ngx_pnalloc(r->pool, name->len + 1 + value.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_key(name->data, name->len);
    h->lowcase_key = name->data;
    h->key.len = name->len;
    h->key.data = p;
    p = ngx_cpymem(p, r->header_name_start, name->len);
    *p++ = '\0';

    h->value.len = value.len;
    h->value.data = p;
    p = ngx_cpymem(p, value.data, value.len);
    *p = '\0';

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);

    hh = ngx_hash_find(&umcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    if (hh && hh->handler(r, h, hh->offset) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_relay_filter_init(void *data)
{
    ngx_http_atls_relay_t *relay = data;

    ngx_http_upstream_t  *u;

    u = relay->request->upstream;

    /*
     * Chunked: until the last chunk there is always more.  With -1 the end of
     * the connection is the response's, as the location has it for the client
     * too: "chunked_transfer_encoding off".
     */

    u->length = u->headers_in.chunked ? 1 : u->headers_in.content_length_n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_relay_filter(void *data, ssize_t bytes)
{
    ngx_http_atls_relay_t *relay = data;

    size_t                size;
    ngx_int_t             rc;
    ngx_buf_t            *b, *buf;
    ngx_chain_t          *cl, **ll;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = relay->request;
    u = r->upstream;
    buf = &u->buffer;

    buf->pos = buf->last;
    buf->last += bytes;

    for (ll = &u->out_bufs; *ll; ll = &(*ll)->next) { /* void */ }

    for ( ;; ) {

        if (!u->headers_in.chunked) {
            size = buf->last - buf->pos;

            if (u->length != -1) {
                size = (size_t) ngx_min(u->length, (off_t) size);
                u->length -= size;
            }

            if (size == 0) {
                return NGX_OK;
            }

        } else {
            rc = ngx_http_atls_parse_chunked(r, buf, &relay->chunked);

            if (rc == NGX_DONE) {
                u->length = 0;
                return NGX_OK;
            }

            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? NGX_OK : NGX_ERROR;
            }

            size = (size_t) ngx_min(relay->chunked.size,
                                    (off_t) (buf->last - buf->pos));
            relay->chunked.size -= size;
        }

        cl = ngx_chain_get_free_buf(r->pool, &u->free_bufs);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        *ll = cl;
        ll = &cl->next;

        b = cl->buf;

        b->flush = 1;
        b->memory = 1;
        b->tag = u->output.tag;
        b->pos = buf->pos;
        b->last = buf->pos + size;

        buf->pos += size;
    }
}


static void
ngx_http_atls_relay_abort_request(ngx_http_request_t *r)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "abort atls relay");
}


static void
ngx_http_atls_relay_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_atls_relay_t  *relay;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "finalize atls relay: %i", rc);

    relay = ngx_http_get_module_ctx(r, ngx_http_atls_module);

    if (relay->timer.timer_set) {
        ngx_del_timer(&relay->timer);
    }
}
