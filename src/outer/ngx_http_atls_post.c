
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_message.h"
#include "ngx_http_atls_stream_plaintext.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_begin.h"
#include "ngx_http_atls_exported.h"
#include "ngx_http_atls_finish.h"
#include "ngx_http_atls_open.h"
#include "ngx_http_atls_poll.h"
#include "ngx_http_atls_post.h"
#include "ngx_http_atls_relayed.h"


static void ngx_http_atls_post_stream(ngx_event_t *rev);
static void ngx_http_atls_post_read(ngx_http_request_t *r);
static ngx_uint_t ngx_http_atls_post_goes_on(ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_post_closed(ngx_http_request_t *r);
static void ngx_http_atls_post_gone(ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_post_half_closed(ngx_http_request_t *r);
static void ngx_http_atls_post_write(ngx_http_request_t *r);
static void ngx_http_atls_post_stopped(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_event(ngx_event_t *ev);
static void ngx_http_atls_post_park(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_poll(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_wait(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_run(ngx_http_atls_post_t *post);

static ngx_int_t ngx_http_atls_post_serve(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_rest(ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_post_greets(ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_post_overstays(ngx_http_atls_post_t *post,
    ngx_int_t rc);

static void ngx_http_atls_post_send(ngx_http_atls_post_t *post);

static void ngx_http_atls_post_cleanup(void *data);


static ngx_event_handler_pt  ngx_http_atls_post_handler;


ngx_http_atls_post_t *
ngx_http_atls_post_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t    *cln;
    ngx_http_atls_post_t  *post;

    post = ngx_pcalloc(r->pool, sizeof(ngx_http_atls_post_t));
    if (post == NULL) {
        return NULL;
    }

    post->request = r;
    post->main_conf = ngx_http_get_module_main_conf(r, ngx_http_atls_module);
    post->conf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);
    post->home = post->conf;

    post->draining = (ngx_exiting || ngx_terminate)
                     && ngx_http_atls_relayed(r->connection);

    post->body.request = r;
    ngx_http_atls_answer_init(&post->answer, r, post->conf->buffer_size);
    post->answer.keep = post->conf->retry_buffer;

    /* RFC 9110, section 13: preconditions would apply to records */

    r->disable_not_modified = 1;

    post->event.data = post;
    post->event.handler = ngx_http_atls_post_event;
    post->event.log = r->connection->log;

    post->open = ngx_http_atls_open;
    post->headers = ngx_http_atls_finish_begin;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_atls_post_cleanup;
    cln->data = post;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls POST, relayed:%ui, draining:%d",
                   ngx_http_atls_relayed(r->connection), (int) post->draining);

    ngx_http_set_ctx(r, post, ngx_http_atls_module);

    return post;
}


void
ngx_http_atls_post_start(ngx_http_request_t *r)
{
    ngx_event_t           *rev;
    ngx_http_atls_post_t  *post;

    rev = r->connection->read;
    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);

    r->read_event_handler = ngx_http_atls_post_read;
    r->write_event_handler = ngx_http_atls_post_write;

    if (ngx_http_atls_is_quic(r)
        && rev->handler != ngx_http_atls_post_stream)
    {
        ngx_http_atls_post_handler = rev->handler;
        rev->handler = ngx_http_atls_post_stream;
    }

    if (!r->reading_body) {
        ngx_http_atls_body_ended(r);
    }

    if (r->connection->write->error && ngx_http_atls_is_quic(r)) {

        /* the write event was ignored until now, and there is no other one */

        ngx_http_atls_post_stopped(post);
        return;
    }

    ngx_http_atls_post_run(post);
}


/*
 * When a connection of HTTP/3 is closed, core terminates the requests in all of
 * its streams.  One that goes on without the client gets the event of a stream
 * that was cancelled: core waits for its end.  After an internal redirect, the
 * request has no context.
 */

static void
ngx_http_atls_post_stream(ngx_event_t *rev)
{
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_atls_post_t  *post;

    c = rev->data;
    r = c->data;
    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);

    if (c->close && post && ngx_http_atls_post_goes_on(post)) {
        c->close = 0;
    }

    ngx_http_atls_post_handler(rev);
}


static void
ngx_http_atls_post_read(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_event_t           *rev;
    ngx_http_atls_post_t  *post;

    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);
    rev = r->connection->read;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD read handler, reading:%d, inner:%p", post->label,
                   (int) r->reading_body, post->inner);

    if (!r->reading_body || r->connection->error) {

        if (post->stage == ngx_http_atls_post_polls
            && ngx_http_atls_post_half_closed(r))
        {
            /* the client may be gone: it gets no output */

            ngx_http_atls_poll_leave(post);
            ngx_http_atls_finish(post);
            return;
        }

        if (post->inner && ngx_http_atls_post_half_closed(r)) {

            ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                           "atls %08xD client has half-closed, blocked:%d",
                           post->label, (int) post->blocked);

            /* without blocked buffers, core waits for something else */

            if (!post->blocked) {
                ngx_http_atls_inner_half_closed(post->inner);
            }

            return;
        }

        if (ngx_http_atls_post_goes_on(post) && ngx_http_atls_post_closed(r)) {
            ngx_http_atls_post_gone(post);
            return;
        }

        ngx_http_test_reading(r);
        return;
    }

    if (post->inner == NULL) {

        if (post->event.timer_set) {

            /* waits for the session, not for the client */

            rev->timedout = 0;
        }

        ngx_http_atls_post_run(post);
        return;
    }

    if (post->plain_len || post->body.pos < post->body.last) {

        /* data are not processed yet, so the client has not timed out */

        rev->timedout = 0;
        return;
    }

    /* reads ahead, to detect the end of the body, or a closed connection */

    rc = ngx_http_atls_body_fill(&post->body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        post->status = rc;
        ngx_http_atls_finish_error(post, rc);
        return;
    }

    ngx_http_atls_inner_readable(post->inner);
}


/* Without the client, which may fetch the response later. */

static ngx_uint_t
ngx_http_atls_post_goes_on(ngx_http_atls_post_t *post)
{
    return post->inner && !post->request->reading_body
           && post->answer.keep
           && ngx_http_atls_inner_goes_on(post->inner);
}


/*
 * Whether the client is gone; otherwise, it has only sent another request.  In
 * HTTP/3, a stream that was cancelled has errors, unlike its connection.
 */

static ngx_uint_t
ngx_http_atls_post_closed(ngx_http_request_t *r)
{
    char               buf[1];
    ssize_t            n;
    ngx_connection_t  *c;

    c = r->connection;

    if (ngx_http_atls_is_stream(r)) {
        return c->error || c->read->error || c->write->error;
    }

    if (c->error || c->read->pending_eof) {
        return 1;
    }

    n = recv(c->fd, buf, 1, MSG_PEEK);

    return n == 0 || (n == -1 && ngx_socket_errno != NGX_EAGAIN);
}


/* The request continues without the client, and nothing is sent any more. */

static void
ngx_http_atls_post_gone(ngx_http_atls_post_t *post)
{
    ngx_event_t         *wev;
    ngx_http_request_t  *r;

    r = post->request;
    wev = r->connection->write;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD client is gone, blocked:%d", post->label,
                   (int) post->blocked);

    r->read_event_handler = ngx_http_block_reading;

    post->answer.goes_on = 1;
    post->answer.gone = 1;

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    if (post->blocked) {
        ngx_http_atls_stream_send_later(post);
    }
}


/*
 * Whether the client has only closed its write side.  It may be gone, or wait
 * for the response: core sends a response that is ready, and so does the inner
 * connection.
 */

static ngx_uint_t
ngx_http_atls_post_half_closed(ngx_http_request_t *r)
{
#if (NGX_HAVE_EPOLLRDHUP)

    socklen_t          len;
    ngx_err_t          err;
    ngx_connection_t  *c;

    c = r->connection;

    if (c->error || !c->read->pending_eof || !ngx_use_epoll_rdhup
        || ngx_http_atls_is_stream(r))
    {
        return 0;
    }

    err = 0;
    len = sizeof(ngx_err_t);

    return getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == 0
           && err == 0;

#else

    return 0;

#endif
}


static void
ngx_http_atls_post_write(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_atls_post_t      *post;
    ngx_http_core_loc_conf_t  *clcf;

    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);
    wev = r->connection->write;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD write handler, started:%d", post->label,
                   (int) post->answer.started);

    if (!post->answer.started) {

        if (wev->error && !post->answer.gone) {
            ngx_http_atls_post_stopped(post);
        }

        return;
    }

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;

        ngx_http_atls_finish_error(post, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed || r->aio) {

        if (!wev->delayed) {
            clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
            ngx_add_timer(wev, clcf->send_timeout);
        }

        if (ngx_handle_write_event(wev, 0) != NGX_OK) {
            ngx_http_atls_finish_error(post, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        return;
    }

    ngx_http_atls_post_send(post);
}


/*
 * HTTP/3: the client does not want the response (RFC 9114, section 4.1.1), and
 * may send nothing else.  Later, sending fails.
 */

static void
ngx_http_atls_post_stopped(ngx_http_atls_post_t *post)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = post->request;
    c = r->connection;

    if (post->stage == ngx_http_atls_post_polls) {
        ngx_http_atls_poll_leave(post);
        ngx_http_atls_finish(post);
        return;
    }

    if (ngx_http_atls_post_goes_on(post)) {
        ngx_http_atls_post_gone(post);
        return;
    }

    c->error = 1;

    ngx_log_error(NGX_LOG_INFO, c->log, 0, "client cancelled the request");

    ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
}


/*
 * Posted when the inner connection has sealed data or is closed.  Data are
 * sent now, unless they are the whole response and can be sent with its
 * length.
 */

static void
ngx_http_atls_post_event(ngx_event_t *ev)
{
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_atls_post_t  *post;

    post = ev->data;
    r = post->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls %08xD POST event, inner:%p, parking:%d", post->label,
                   post->inner, (int) post->parking);

    if (post->stage == ngx_http_atls_post_polls) {
        ngx_http_atls_post_poll(post);

    } else if (post->inner == NULL) {
        ngx_http_atls_post_wait(post);

    } else if (post->parking && !post->blocked) {
        ngx_http_atls_post_park(post);

    } else {
        ngx_http_atls_post_send(post);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_atls_post_park(ngx_http_atls_post_t *post)
{
    if (ngx_http_atls_poll_waits(post)) {
        ngx_http_atls_poll(post);

    } else {
        ngx_http_atls_finish(post);
    }
}


/*
 * No event may have told that the client is gone, and then, the output must not
 * be sealed.  Otherwise, this is done later.
 */

static void
ngx_http_atls_post_poll(ngx_http_atls_post_t *post)
{
    if (ngx_http_atls_post_closed(post->request)) {
        ngx_http_atls_poll_leave(post);
        ngx_http_atls_finish(post);
        return;
    }

    if (ngx_http_atls_poll_end(post) == NGX_OK) {
        ngx_http_atls_post_run(post);
    }
}


/*
 * While a POST waits for its session, its body is not read, and no event tells
 * that the client is gone.
 */

static void
ngx_http_atls_post_wait(ngx_http_atls_post_t *post)
{
    ngx_connection_t  *c;

    c = post->request->connection;

    if (post->stage == ngx_http_atls_post_begins
        && ngx_http_atls_post_closed(post->request))
    {
        c->error = 1;

        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "client prematurely closed connection");

        ngx_http_atls_finish_error(post, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    ngx_http_atls_post_run(post);
}


/*
 * The functions of stages return NGX_OK to continue with the next stage,
 * NGX_AGAIN to wait, NGX_DONE to complete the response, or a status or a
 * problem.
 */

static void
ngx_http_atls_post_run(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    for ( ;; ) {

        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls %08xD stage: %d, inner:%p", post->label,
                       (int) post->stage, post->inner);

        switch (post->stage) {

        case ngx_http_atls_post_begins:
            rc = post->coding ? ngx_http_atls_exported_begin(post)
                              : ngx_http_atls_begin(post);
            break;

        case ngx_http_atls_post_handshake:
        case ngx_http_atls_post_failed:
        case ngx_http_atls_post_established:
        case ngx_http_atls_post_message:
        case ngx_http_atls_post_datagrams:
            rc = ngx_http_atls_post_serve(post);
            break;

        default: /* ngx_http_atls_post_polls, ngx_http_atls_post_done */
            return;
        }

        if (rc == NGX_OK) {
            continue;
        }

        if (rc == NGX_AGAIN) {

            if (post->unsent) {
                post->unsent = 0;
                ngx_http_atls_post_send(post);
            }

            return;
        }

        if (rc == NGX_DONE) {
            ngx_http_atls_finish(post);
            return;
        }

        ngx_http_atls_finish_error(post, rc);
        return;
    }
}


/* Creates an inner connection if there are data for it. */

static ngx_int_t
ngx_http_atls_post_serve(ngx_http_atls_post_t *post)
{
    u_char     *data;
    size_t      len;
    ngx_int_t   rc;

    if (post->inner) {
        return NGX_AGAIN;
    }

    if (post->answer.error) {
        return NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }

    if (post->status && post->stage != ngx_http_atls_post_failed) {
        return post->status;
    }

    if (post->stage == ngx_http_atls_post_datagrams
        && (post->taken || post->bad_gateway))
    {
        return ngx_http_atls_post_rest(post);
    }

    /* the handshake must be completed even if the session ends */

    if (post->end != ngx_http_atls_end_none
        || (post->bad_gateway && post->stage == ngx_http_atls_post_established))
    {
        return NGX_DONE;
    }

    /* a message contains one request */

    if (post->stage == ngx_http_atls_post_message && post->taken) {
        return NGX_DONE;
    }

    rc = ngx_http_atls_stream_plaintext(post, &data, &len);

    if (rc == NGX_ERROR) {
        return NGX_DONE;
    }

    if (ngx_http_atls_post_overstays(post, rc)) {
        post->session->reason = ngx_http_atls_ending_shutdown;
        ngx_http_atls_stream_end_session(post, ngx_http_atls_end_closed);
        return NGX_DONE;
    }

    if (rc == NGX_DONE && ngx_http_atls_post_greets(post)) {
        post->taken = 1;

    } else if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_atls_inner_create(post) != NGX_OK) {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    return NGX_AGAIN;
}


/*
 * A POST with DTLS contains one request.  Other records may be alerts; data are
 * lost.
 */

static ngx_int_t
ngx_http_atls_post_rest(ngx_http_atls_post_t *post)
{
    u_char     *data;
    size_t      len;
    ngx_int_t   rc;

    do {
        rc = ngx_http_atls_stream_plaintext(post, &data, &len);

        if (rc == NGX_OK) {
            ngx_http_atls_stream_take(post, len);
        }

    } while (rc == NGX_OK);

    /* the client must not delay the exit of the worker */

    return rc == NGX_AGAIN && !ngx_exiting ? NGX_AGAIN : NGX_DONE;
}


/*
 * With a raw payload, a service that speaks first gets an empty message: from
 * the end of the handshake, or a poll with a record.  An empty POST may be from
 * anybody, and is no message.
 */

static ngx_uint_t
ngx_http_atls_post_greets(ngx_http_atls_post_t *post)
{
    ngx_str_t  rest;

    ngx_http_atls_body_rest(&post->body, &rest);

    return post->stage == ngx_http_atls_post_established
           && post->conf->poll_timeout
           && post->target.conf->payload == NGX_HTTP_ATLS_PAYLOAD_RAW
           && !post->taken && post->end == ngx_http_atls_end_none
           && rest.len == 0
           && (post->opened
               || (post->finished && post->session->requests == 0));
}


/*
 * Between requests, a worker that is shutting down only waits for the rest of
 * a POST if its length is known, and not longer than client_body_timeout.
 * Otherwise, the client could delay the exit of the worker.
 */

static ngx_uint_t
ngx_http_atls_post_overstays(ngx_http_atls_post_t *post, ngx_int_t rc)
{
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    if (!(ngx_exiting || ngx_terminate)
        || post->stage != ngx_http_atls_post_established || !post->taken
        || rc == NGX_DONE)
    {
        return 0;
    }

    r = post->request;

    if (!post->leaving) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        post->leave = ngx_current_msec + clcf->client_body_timeout;
        post->leaving = 1;

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "atls %08xD worker exiting, POST timeout:%M",
                       post->label, clcf->client_body_timeout);
    }

    return (ngx_msec_int_t) (ngx_current_msec - post->leave) >= 0
           || (rc == NGX_AGAIN && r->headers_in.content_length_n == -1);
}


static void
ngx_http_atls_post_send(ngx_http_atls_post_t *post)
{
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = post->request;
    wev = r->connection->write;

    /* sending may fail before the read event tells that the client is gone */

    post->answer.goes_on = ngx_http_atls_post_goes_on(post);

    rc = ngx_http_atls_stream_pad(post);

    if (rc == NGX_OK) {
        rc = ngx_http_atls_stream_flush(post);
    }

    if (rc == NGX_ERROR) {
        ngx_http_atls_finish_error(post, NGX_ERROR);
        return;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD sent: %i, blocked:%d", post->label, rc,
                   (int) post->blocked);

    if (rc == NGX_AGAIN) {

        if (!wev->delayed) {
            clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
            ngx_add_timer(wev, clcf->send_timeout);
        }

        if (ngx_handle_write_event(wev, 0) != NGX_OK) {
            ngx_http_atls_finish_error(post, NGX_ERROR);
            return;
        }

    } else {
        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }

        if (ngx_http_atls_stream_pending(post)) {

            /* padded unless there are more data */

            ngx_http_atls_stream_send_later(post);
        }
    }

    /* some buffers are free now */

    if (post->blocked && post->inner && post->answer.free) {
        post->blocked = 0;
        ngx_http_atls_inner_writable(post->inner);

        if (post->parking) {
            ngx_http_atls_stream_send_later(post);
        }
    }
}


static void
ngx_http_atls_post_cleanup(void *data)
{
    ngx_http_atls_post_t *post = data;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD cleanup, stage:%d", post->label,
                   (int) post->stage);

    if (post->stage == ngx_http_atls_post_polls) {
        ngx_http_atls_poll_leave(post);
        return;
    }

    ngx_http_atls_finish_release(post);
}
