
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_drain.h"
#include "ngx_http_atls_store.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_datagrams.h"
#include "ngx_http_atls_stream_message.h"
#include "ngx_http_atls_stream_plaintext.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_fate.h"
#include "ngx_http_atls_finish.h"
#include "ngx_http_atls_finish_headers.h"
#include "ngx_http_atls_finish_session.h"
#include "ngx_http_atls_outcome.h"


static ngx_int_t ngx_http_atls_finish_response(ngx_http_atls_post_t *post,
    ngx_http_atls_fate_e fate, ngx_int_t status);
static void ngx_http_atls_finish_wait(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_stored(ngx_http_atls_putting_t *putting);
static void ngx_http_atls_finish_send(ngx_http_atls_post_t *post,
    ngx_uint_t refused);
static void ngx_http_atls_finish_unused(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_last_record(ngx_http_atls_post_t *post,
    ngx_http_atls_fate_e fate);
static ngx_int_t ngx_http_atls_finish_message(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_outcome(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_problem(ngx_http_atls_post_t *post,
    ngx_int_t status);
static ngx_uint_t ngx_http_atls_finish_expires(ngx_http_atls_post_t *post,
    ngx_int_t status);
static ngx_uint_t ngx_http_atls_finish_failed(ngx_http_atls_post_t *post,
    ngx_http_atls_fate_e fate, ngx_int_t status);


void
ngx_http_atls_finish(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    if (post->stage == ngx_http_atls_post_begins) {

        /* the session is not affected */

        if (ngx_http_atls_finish_outcome(post) == NGX_OK
            && ngx_http_atls_finish_retried(post) == NGX_OK)
        {
            ngx_http_atls_finish_unused(post);
            ngx_http_atls_finish_send(post, 0);
            return;
        }

        ngx_http_atls_finish_error(post, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (post->coding && post->end == ngx_http_atls_end_refused) {
        ngx_http_atls_finish_error(post, NGX_HTTP_ATLS_MESSAGE_REFUSED);
        return;
    }

    if (post->datagrams && !post->datagrams->ends
        && post->end == ngx_http_atls_end_cut)
    {
        /* no record tells the client that the response is not complete */

        ngx_http_atls_finish_error(post, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_http_atls_finish_response(post, ngx_http_atls_fate(post, NGX_OK),
                                       NGX_OK);

    if (rc != NGX_OK) {
        ngx_http_atls_finish_error(post, rc);
    }
}


/*
 * Seals the last records, puts the session back, and then completes the
 * response.  The order is important: as soon as the response is sent, the next
 * POST of the client may be processed by another worker.
 *
 * Returns NGX_OK, or a status or a problem if it cannot be completed.
 */

static ngx_int_t
ngx_http_atls_finish_response(ngx_http_atls_post_t *post,
    ngx_http_atls_fate_e fate, ngx_int_t status)
{
    ngx_int_t  rc;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD POST finish, fate:%d, end:%d", post->label,
                   (int) fate, (int) post->end);

    if (((post->stage == ngx_http_atls_post_established
          || post->stage == ngx_http_atls_post_datagrams)
         && ngx_http_atls_finish_last_record(post, fate) != NGX_OK)
        || (post->stage == ngx_http_atls_post_message
            && ngx_http_atls_finish_message(post) != NGX_OK))
    {
        post->answer.error = 1;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_atls_finish_outcome(post) != NGX_OK
        || (!post->answer.started
            && ngx_http_atls_finish_headers(post) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = NGX_OK;

    if (fate == ngx_http_atls_fate_keep) {

        post->putting.handler = ngx_http_atls_finish_stored;
        post->putting.data = post;

        rc = ngx_http_atls_finish_keep(post);

        if (rc == NGX_ERROR) {
            return NGX_HTTP_ATLS_ZONE_FULL;
        }

    } else {
        ngx_http_atls_finish_drop(post, status);
    }

    ngx_http_atls_finish_unused(post);

    if (rc == NGX_AGAIN) {
        ngx_http_atls_finish_wait(post);
        return NGX_OK;
    }

    ngx_http_atls_finish_send(post, post->bad_gateway
                                    && fate == ngx_http_atls_fate_keep
                                    && post->answer.length == 0);

    return NGX_OK;
}


/* The response continues when the session is in the store. */

static void
ngx_http_atls_finish_wait(ngx_http_atls_post_t *post)
{
    ngx_event_t         *wev;
    ngx_http_request_t  *r;

    r = post->request;
    wev = r->connection->write;

    post->stage = ngx_http_atls_post_done;

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


/* The session is in the store, or the answer of the store is late. */

static void
ngx_http_atls_finish_stored(ngx_http_atls_putting_t *putting)
{
    ngx_connection_t      *c;
    ngx_http_atls_post_t  *post;

    post = putting->data;
    c = post->request->connection;

    ngx_http_set_log_request(c->log, post->request);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls %08xD POST stored: %ui", post->label, putting->done);

    if (!putting->done) {
        ngx_http_atls_drain_again();
    }

    ngx_http_atls_finish_send(post, post->bad_gateway
                                    && post->answer.length == 0);
    ngx_http_run_posted_requests(c);
}


/* The POST is done, and so is the request if all is sent. */

static void
ngx_http_atls_finish_send(ngx_http_atls_post_t *post, ngx_uint_t refused)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = post->request;

    post->stage = ngx_http_atls_post_done;

    rc = refused ? ngx_http_atls_problem(r, NGX_HTTP_ATLS_PAYLOAD_REFUSED)
                 : ngx_http_atls_answer_finish(&post->answer);

    r->read_event_handler = ngx_http_block_reading;

    ngx_http_finalize_request(r, rc);
}


/* Releases what may not be needed any more. */

static void
ngx_http_atls_finish_unused(ngx_http_atls_post_t *post)
{
    if (post->event.posted) {
        ngx_delete_posted_event(&post->event);
    }

    if (post->event.timer_set) {
        ngx_del_timer(&post->event);
    }

    if (post->taking) {
        ngx_http_atls_store_take_cancel(post->taking);
    }

    ngx_http_atls_inner_release(post);

    if (post->stage == ngx_http_atls_post_begins) {
        ngx_http_atls_finish_return(post);
    }
}


/* Seals the final alert, or a pending answer. */

static ngx_int_t
ngx_http_atls_finish_last_record(ngx_http_atls_post_t *post,
    ngx_http_atls_fate_e fate)
{
    u_char      record[TRL_CHANNEL_SHORT_RECORD];
    ssize_t     n;
    ngx_int_t   alert;

    if (fate != ngx_http_atls_fate_close) {
        return post->bad_gateway ? NGX_OK : ngx_http_atls_stream_answer(post);
    }

    alert = ngx_http_atls_fate_alert(post);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD alert out: %i", post->label, alert);

    if (alert == NGX_HTTP_ATLS_NO_ALERT
        || (post->datagrams
            && ngx_http_atls_stream_reserve(post, 1) != NGX_OK))
    {
        return NGX_OK;
    }

    n = trl_channel_alert(&post->channel, (unsigned) alert, record);

    if (n > 0) {
        ngx_http_atls_count_alert(NGX_HTTP_ATLS_OUT, alert);
    }

    return ngx_http_atls_stream_short(post, record, n);
}


/*
 * Without the last record, the client knows that the response is not complete.
 * A chunked body may end after the message: otherwise, core would close the
 * connection.
 */

static ngx_int_t
ngx_http_atls_finish_message(ngx_http_atls_post_t *post)
{
    if (post->request->reading_body) {
        (void) ngx_http_atls_body_fill(&post->body);
    }

    return post->end == ngx_http_atls_end_cut
           ? NGX_OK : ngx_http_atls_stream_last(post);
}


static ngx_int_t
ngx_http_atls_finish_outcome(ngx_http_atls_post_t *post)
{
    return ngx_http_atls_outcome_set(post, post->bad_gateway
                       ? ngx_http_atls_problem_outcome(
                                               NGX_HTTP_ATLS_PAYLOAD_REFUSED)
                       : (int) ngx_http_atls_fate_outcome(post));
}


ngx_int_t
ngx_http_atls_finish_begin(ngx_http_atls_post_t *post)
{
    if (ngx_http_atls_outcome_begin(post) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_atls_finish_headers(post);
}


void
ngx_http_atls_finish_error(ngx_http_atls_post_t *post, ngx_int_t status)
{
    ngx_uint_t             started, removed;
    ngx_http_request_t    *r;
    ngx_http_atls_fate_e   fate;

    r = post->request;
    started = post->answer.started;
    fate = ngx_http_atls_fate(post, status);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD POST error: %i, started:%ui, fate:%d",
                   post->label, status, started, (int) fate);

    if (fate == ngx_http_atls_fate_close) {

        ngx_http_atls_finish_abort_inner(post);

        post->end = ngx_max(post->end, ngx_http_atls_end_cut);

        if (ngx_http_atls_finish_response(post, fate, status) == NGX_OK) {
            return;
        }
    }

    removed = ngx_http_atls_finish_failed(post, fate, status);

    /* the request may continue, but not the POST */

    r->read_event_handler = ngx_http_block_reading;

    if (started) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (!post->fresh
        && (removed || ngx_http_atls_finish_expires(post, status))
        && ngx_http_atls_finish_expire(post) != NGX_OK)
    {
        status = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    status = ngx_http_atls_finish_problem(post, status);

    if (status > NGX_HTTP_ATLS_PROBLEM) {
        status = ngx_http_atls_outcome_set_problem(r, status) == NGX_OK
                 ? ngx_http_atls_problem(r, status)
                 : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_finalize_request(r, status);
}


/* Some statuses of core are sent as problems. */

static ngx_int_t
ngx_http_atls_finish_problem(ngx_http_atls_post_t *post, ngx_int_t status)
{
    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        return post->request->connection->error
               ? status : NGX_HTTP_ATLS_UNREADABLE_BODY;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return NGX_HTTP_ATLS_TOO_LARGE;

    case NGX_HTTP_INTERNAL_SERVER_ERROR:
        return NGX_HTTP_ATLS_INTERNAL_ERROR;

    default:
        return status;
    }
}


/*
 * Whether to expire the cookie, if it was sent: if the session does not exist,
 * unless it exists at another endpoint.
 */

static ngx_uint_t
ngx_http_atls_finish_expires(ngx_http_atls_post_t *post, ngx_int_t status)
{
    return ngx_http_atls_problem_status(status) == NGX_HTTP_ATLS_GONE
           && post->take != ngx_http_atls_take_elsewhere;
}


void
ngx_http_atls_finish_release(ngx_http_atls_post_t *post)
{
    ngx_http_atls_store_put_cancel(&post->putting);

    if (post->stage != ngx_http_atls_post_done) {
        (void) ngx_http_atls_finish_failed(post,
                                            ngx_http_atls_fate(post, NGX_ERROR),
                                            NGX_ERROR);
    }
}


/* Ends a failed POST.  Returns 1 if its session was removed. */

static ngx_uint_t
ngx_http_atls_finish_failed(ngx_http_atls_post_t *post,
    ngx_http_atls_fate_e fate, ngx_int_t status)
{
    ngx_uint_t  removed;

    ngx_http_atls_finish_unused(post);

    removed = (post->session != NULL);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD POST released, stage:%d, session:%ui, fate:%d",
                   post->label, (int) post->stage, removed, (int) fate);

    if (removed && fate == ngx_http_atls_fate_keep
        && ngx_http_atls_finish_keep(post) != NGX_ERROR)
    {
        ngx_http_atls_store_put_cancel(&post->putting);
        removed = 0;
    }

    if (removed) {
        ngx_http_atls_finish_drop(post, status);
    }

    if (post->answer.started) {
        (void) ngx_http_atls_outcome_set(post, ngx_http_atls_outcome_cut);
    }

    post->stage = ngx_http_atls_post_done;

    return removed;
}
