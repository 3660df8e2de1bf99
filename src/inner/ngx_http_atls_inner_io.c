
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_plaintext.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_end.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_raw.h"


#define NGX_HTTP_ATLS_IOVS  64


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


void
ngx_http_atls_inner_io_init(ngx_connection_t *c)
{
    c->recv = ngx_http_atls_inner_recv;
    c->recv_chain = ngx_http_atls_inner_recv_chain;
    c->send = ngx_http_atls_inner_send;
    c->send_chain = ngx_http_atls_inner_send_chain;
}


ngx_http_atls_inner_t *
ngx_http_atls_inner_get(ngx_connection_t *c)
{
    if (c->recv != ngx_http_atls_inner_recv) {
        return NULL;
    }

    return (ngx_http_atls_inner_t *) c->listening;
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
ngx_http_atls_inner_writable(ngx_http_atls_inner_t *inner)
{
    ngx_event_t  *wev;

    wev = inner->connection->write;

    wev->ready = 1;
    ngx_post_event(wev, &ngx_posted_events);
}


void
ngx_http_atls_inner_wake(ngx_http_atls_inner_t *inner)
{
    ngx_http_atls_post_t  *post;

    post = inner->poll;

    if (post == NULL) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                   "atls %08xD poll ends", inner->label);

    inner->poll = NULL;
    post->polled = NULL;

    ngx_post_event(&post->event, &ngx_posted_events);
}


void
ngx_http_atls_inner_half_closed(ngx_http_atls_inner_t *inner)
{
    inner->connection->read->pending_eof = 1;

    ngx_http_atls_inner_readable(inner);
}


/*
 * Reports a closed client connection to core's tests for broken connections,
 * and to functions that receive or send.
 */

void
ngx_http_atls_inner_lost(ngx_http_atls_inner_t *inner)
{
    ngx_event_t       *rev, *wev;
    ngx_connection_t  *c;

    c = inner->connection;
    rev = c->read;
    wev = c->write;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls %08xD inner connection lost", inner->label);

    c->error = 1;
    rev->pending_eof = 1;
    rev->ready = 1;
    wev->ready = 1;

    ngx_post_event(rev, &ngx_posted_events);
    ngx_post_event(wev, &ngx_posted_events);
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

    if (ngx_http_atls_inner_lingers(inner)) {
        return ngx_http_atls_inner_recv_eof(c);
    }

    if (inner->parked) {

        if (c->close) {
            return ngx_http_atls_inner_recv_eof(c);
        }

        c->read->ready = 0;
        return NGX_AGAIN;
    }

    if (inner->post == NULL) {
        return ngx_http_atls_inner_recv_eof(c);
    }

    if (c->data == inner->hc && ngx_http_atls_inner_ends(inner)) {
        /* no further requests are allowed: remaining data are ignored */

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

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls %08xD recv: %z of %uz", inner->label, n, size);

    /* with keepalive_min_timeout, c->idle does not tell this */

    inner->keepalive = (n <= 0 && c->data == inner->hc && c->requests);

    if (n > 0) {

        /*
         * When core forwards a body, it may continue reading without an event,
         * up to the end of the POST.  There is no event at the end of the
         * POST, so the connection must stay ready.
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
 * On lingering close, core reads and discards data, so that the client can
 * receive the response.  An inner connection has no such problem, and the data
 * belong to the next inner connection.  A poll may wait for the end of a parked
 * one.
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
 * End of the POST.  An inner connection is closed between requests, which has
 * no effect on the session, or if the session ends.  A connection with an
 * incomplete request is parked, and waits for the next POST.
 *
 * It is not parked if the POST was relayed to a worker which was already
 * shutting down: otherwise, the session could prevent the worker from
 * exiting.  POSTs of a handshake are excluded, as their number is limited.
 */

static ssize_t
ngx_http_atls_inner_recv_end(ngx_http_atls_inner_t *inner)
{
    ngx_connection_t  *c;

    c = inner->connection;

    if (inner->raw || inner->draining || inner->single
        || inner->post->end != ngx_http_atls_end_none
        || (c->data == inner->hc && (inner->preface == 0 || c->requests)))
    {
        return ngx_http_atls_inner_recv_eof(c);
    }

    c->read->ready = 0;
    ngx_http_atls_stream_park(inner->post);

    return NGX_AGAIN;
}


/* Like ngx_unix_recv(): core also checks the flags. */

static ssize_t
ngx_http_atls_inner_recv_eof(ngx_connection_t *c)
{
    c->read->ready = 0;
    c->read->eof = 1;

    return 0;
}


/*
 * Inner requests are HTTP/1.x.  Since nginx 1.25.1, a client could select
 * HTTP/2 with its preface if the server has "http2 on".
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

    /* requests are read with recv(); this is used by proxied upgrades */

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
    size_t                  max;
    ssize_t                 n;
    ngx_int_t               rc;
    ngx_uint_t              niov;
    struct iovec            iov[NGX_HTTP_ATLS_IOVS];
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_inner_get(c);

    if (inner->parked) {
        ngx_http_atls_inner_set_answering(inner);
        ngx_http_atls_inner_wake(inner);
        inner->blocked = 1;
        c->write->ready = 0;
        return in;
    }

    if (inner->post == NULL) {
        return ngx_http_atls_inner_send_error(c);
    }

    send = 0;

    for ( ;; ) {
        max = ngx_http_atls_stream_max(inner->post);

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

        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, c->log, 0,
                       "atls %08xD send: %i, %z", inner->label, rc, n);

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
 * RFC 9110, section 15.2: interim responses do not count, only a final
 * response can be incomplete.
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


/* Returns the number of bytes, or NGX_ERROR for an invalid buffer. */

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
