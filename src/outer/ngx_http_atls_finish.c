
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_resource.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_shared.h"
#include "ngx_http_atls_portable.h"
#include "ngx_http_atls_drain.h"
#include "ngx_http_atls_store.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_lifetime.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_datagrams.h"
#include "ngx_http_atls_stream_message.h"
#include "ngx_http_atls_stream_plaintext.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_park.h"
#include "ngx_http_atls_exported.h"
#include "ngx_http_atls_fate.h"
#include "ngx_http_atls_finish.h"
#include "ngx_http_atls_outcome.h"
#include "ngx_http_atls_relayed.h"
#include "ngx_http_atls_retry.h"


static ngx_int_t ngx_http_atls_finish_response(ngx_http_atls_post_t *post,
    ngx_http_atls_fate_e fate, ngx_int_t status);
static void ngx_http_atls_finish_wait(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_stored(ngx_http_atls_putting_t *putting);
static void ngx_http_atls_finish_send(ngx_http_atls_post_t *post,
    ngx_uint_t refused);
static void ngx_http_atls_finish_unused(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_return(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_last_record(ngx_http_atls_post_t *post,
    ngx_http_atls_fate_e fate);
static ngx_int_t ngx_http_atls_finish_message(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_outcome(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_headers(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_retried(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_location(ngx_http_atls_post_t *post);
static time_t ngx_http_atls_finish_age(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_cookie(ngx_http_atls_post_t *post,
    time_t age);
static ngx_int_t ngx_http_atls_finish_expire(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_problem(ngx_http_atls_post_t *post,
    ngx_int_t status);
static ngx_uint_t ngx_http_atls_finish_expires(ngx_http_atls_post_t *post,
    ngx_int_t status);
static ngx_uint_t ngx_http_atls_finish_session(ngx_http_atls_post_t *post,
    ngx_http_atls_fate_e fate, ngx_int_t status);
static ngx_uint_t ngx_http_atls_finish_leaves(ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_finish_each(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_put(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_rest(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_datagrams(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_drop(ngx_http_atls_post_t *post,
    ngx_int_t status);
static void ngx_http_atls_finish_count(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_abort_inner(ngx_http_atls_post_t *post);


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


/*
 * A POST that does not use its session, such as a repetition, may have taken it
 * from the store.
 */

static void
ngx_http_atls_finish_return(ngx_http_atls_post_t *post)
{
    ngx_http_atls_session_t  *session;

    if (!ngx_http_atls_finish_each(post) || post->session || post->coding) {
        return;
    }

    session = ngx_http_atls_portable_take_id(post->main_conf->zone, post->id);

    if (session) {
        (void) ngx_http_atls_store_put(post->main_conf, session, NULL);
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


static ngx_int_t
ngx_http_atls_finish_headers(ngx_http_atls_post_t *post)
{
    time_t  age;

    post->request->headers_out.status = NGX_HTTP_OK;

    if (ngx_http_atls_fate(post, NGX_OK) != ngx_http_atls_fate_keep) {
        return post->fresh ? NGX_OK : ngx_http_atls_finish_expire(post);
    }

    if (post->fresh && (post->tracking & NGX_HTTP_ATLS_TRACKING_LOCATION)
        && ngx_http_atls_finish_location(post) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /*
     * The output of a handshake is also sent with a 502 response, as the
     * client needs it to continue.
     */

    if (post->bad_gateway) {
        post->request->headers_out.status = NGX_HTTP_BAD_GATEWAY;
    }

    if (post->coding && ngx_http_atls_exported_headers(post) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!(post->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)) {
        return NGX_OK;
    }

    age = ngx_http_atls_finish_age(post);

    return age ? ngx_http_atls_finish_cookie(post, age) : NGX_OK;
}


/*
 * A client that has lost a response has lost its header, too.  It may know the
 * cookie from an earlier one, but with a lower age.
 */

static ngx_int_t
ngx_http_atls_finish_retried(ngx_http_atls_post_t *post)
{
    post->request->headers_out.status = NGX_HTTP_OK;

    if (!post->retried) {
        return NGX_OK;
    }

    if (post->created
        && (post->conf->tracking & NGX_HTTP_ATLS_TRACKING_LOCATION)
        && ngx_http_atls_finish_location(post) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return post->age && (post->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)
           ? ngx_http_atls_finish_cookie(post, post->age) : NGX_OK;
}


/* A path: a proxy may be reached by another scheme, name or port. */

static ngx_int_t
ngx_http_atls_finish_location(ngx_http_atls_post_t *post)
{
    ngx_str_t            value;
    ngx_http_request_t  *r;

    r = post->request;

    r->headers_out.status = NGX_HTTP_CREATED;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD Location", post->label);

    if (ngx_http_atls_resource_header(r, post->conf, post->id, &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* core would make headers_out.location absolute */

    return ngx_http_atls_add_header(r, "Location", &value);
}


/*
 * How long the client may keep the cookie; 0: it knows that already.  A request
 * is unfinished if its inner connection is about to be parked; or, if the
 * response begins before the end of the POST, it may be.  An upgraded
 * connection is parked after each POST.
 */

static time_t
ngx_http_atls_finish_age(ngx_http_atls_post_t *post)
{
    int64_t     used;
    ngx_uint_t  upgraded, unfinished;

    if (post->coding) {
        return post->coding->age;
    }

    upgraded = post->inner && ngx_http_atls_inner_tunnel(post->inner);

    if (upgraded && !post->opened
        && post->stage == ngx_http_atls_post_established)
    {
        return ngx_http_atls_lifetime_poll(post->session, post->home);
    }

    used = post->opened ? ngx_http_atls_clock() : post->session->used;
    unfinished = upgraded
                 || (post->inner
                     && (post->parking || post->request->reading_body));

    return ngx_http_atls_lifetime_cookie(post->session, post->home, used,
                                         unfinished);
}


/* Sets the cookie; age 0: expires it. */

static ngx_int_t
ngx_http_atls_finish_cookie(ngx_http_atls_post_t *post, time_t age)
{
    ngx_str_t            value;
    ngx_http_request_t  *r;

    r = post->request;

    if (ngx_http_atls_cookie_header(r, &post->conf->cookie,
                                    age ? post->id : NULL,
                                    post->tagged ? post->tag : NULL, age,
                                    ngx_http_atls_relayed_secure(r->connection),
                                    &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD Set-Cookie, age:%T", post->label, age);

    return ngx_http_atls_add_header(r, "Set-Cookie", &value);
}


/* Only a client that has sent the cookie has to forget it. */

static ngx_int_t
ngx_http_atls_finish_expire(ngx_http_atls_post_t *post)
{
    return (post->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)
           ? ngx_http_atls_finish_cookie(post, 0) : NGX_OK;
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

    removed = ngx_http_atls_finish_session(post, fate, status);

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
        (void) ngx_http_atls_finish_session(post,
                                            ngx_http_atls_fate(post, NGX_ERROR),
                                            NGX_ERROR);
    }
}


/* Ends a failed POST.  Returns 1 if its session was removed. */

static ngx_uint_t
ngx_http_atls_finish_session(ngx_http_atls_post_t *post,
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


ngx_int_t
ngx_http_atls_finish_keep(ngx_http_atls_post_t *post)
{
    ngx_uint_t                 leaves;
    ngx_shm_zone_t            *zone;
    ngx_http_atls_inner_t     *inner;
    ngx_http_atls_response_t   response;

    if (post->coding) {
        ngx_http_atls_finish_abort_inner(post);
        ngx_http_atls_exported_end(post);
        return NGX_OK;
    }

    if (post->datagrams) {
        ngx_http_atls_finish_abort_inner(post);
        ngx_http_atls_finish_datagrams(post);
        return NGX_OK;
    }

    zone = post->main_conf->zone;
    inner = post->inner;

    /* a POST without a valid record does not reset the idle timeout */

    if (post->opened) {
        post->session->used = ngx_http_atls_clock();
    }

    if (post->stage == ngx_http_atls_post_established) {

        if (!post->apart && ngx_http_atls_finish_rest(post) != NGX_OK) {
            return NGX_ERROR;
        }

        trl_channel_done(&post->channel);
    }

    if (post->stage != ngx_http_atls_post_begins) {
        ngx_http_atls_finish_count(post);
    }

    leaves = ngx_http_atls_finish_leaves(post);

    if (post->handshake) {
        ngx_http_atls_handshake_attach(post->handshake, NULL);
        post->handshake = NULL;
    }

    if (inner) {
        post->inner = NULL;
        post->session->inner = inner;

        inner->upgraded = ngx_http_atls_inner_tunnel(inner);
        ngx_http_atls_inner_park(inner);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD put, pending:%uD, inner:%p", post->label,
                   post->session->pending.len, inner);

    if (leaves) {
        return ngx_http_atls_finish_put(post);
    }

    ngx_http_atls_session_put(zone, post->session,
                              ngx_http_atls_retry_response(post, &response));
    post->session = NULL;

    if (post->main_conf->store) {
        ngx_http_atls_drain_again();
    }

    return NGX_OK;
}


/*
 * With "each", or if this machine shuts down, a session that needs nothing of
 * this process is put out.
 */

static ngx_uint_t
ngx_http_atls_finish_leaves(ngx_http_atls_post_t *post)
{
    return post->main_conf->store
           && (ngx_http_atls_finish_each(post) || ngx_http_atls_drain_puts())
           && post->stage == ngx_http_atls_post_established
           && post->handshake == NULL && post->inner == NULL
           && post->session->inner == NULL;
}


/*
 * Requests with exported keys do not take their session, and need it here: at
 * their endpoints, sessions stay, as with "lazy".
 */

static ngx_uint_t
ngx_http_atls_finish_each(ngx_http_atls_post_t *post)
{
    return post->main_conf->store && post->main_conf->store->each
           && !post->home->exported_keys;
}


static ngx_int_t
ngx_http_atls_finish_put(ngx_http_atls_post_t *post)
{
    ngx_shm_zone_t            *zone;
    ngx_http_atls_session_t   *session;
    ngx_http_atls_response_t   response;

    zone = post->main_conf->zone;
    session = post->session;
    post->session = NULL;

    if (ngx_http_atls_retry_response(post, &response)) {
        ngx_http_atls_session_hold(zone, session, &response);
    }

    post->putting.handler = ngx_http_atls_finish_stored;
    post->putting.data = post;

    if (ngx_http_atls_store_put(post->main_conf, session, &post->putting)
        == NGX_AGAIN)
    {
        return NGX_AGAIN;
    }

    ngx_http_atls_drain_again();

    return NGX_OK;
}


/* Stores the beginning of a record at the end of the body. */

static ngx_int_t
ngx_http_atls_finish_rest(ngx_http_atls_post_t *post)
{
    ngx_str_t        rest;
    ngx_shm_zone_t  *zone;

    zone = post->main_conf->zone;

    ngx_http_atls_body_rest(&post->body, &rest);

    if (ngx_http_atls_session_store(zone, post->session,
                                    &post->session->pending, rest.data,
                                    rest.len)
        != NGX_OK)
    {
        ngx_http_atls_session_full(zone, "has no memory for a record",
                                   post->request->connection->log);
        return NGX_ERROR;
    }

    if (rest.len) {
        ngx_http_atls_stream_print(post, rest.data, rest.len);
    }

    return NGX_OK;
}


/* The session was not taken. */

static void
ngx_http_atls_finish_datagrams(ngx_http_atls_post_t *post)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD datagrams end, valid:%ui, discarded:%ui",
                   post->label, post->datagrams->valid,
                   post->datagrams->discarded);

    ngx_http_atls_shared_end(post->main_conf->zone, post->session,
                             post->datagrams->requests, post->body.bytes,
                             post->answer.bytes, post->datagrams->user);

    trl_channel_done(&post->channel);
    post->session = NULL;
}


static void
ngx_http_atls_finish_drop(ngx_http_atls_post_t *post, ngx_int_t status)
{
    ngx_http_atls_ending_e  reason;

    reason = ngx_http_atls_fate_reason(post, status);

    ngx_http_atls_finish_abort_inner(post);

    if (post->datagrams) {
        ngx_http_atls_finish_datagrams(post);
        ngx_http_atls_shared_remove(post->main_conf->zone, post->id, reason,
                                    post->request->connection->log);
        return;
    }

    if (post->stage == ngx_http_atls_post_established) {
        trl_channel_done(&post->channel);
    }

    if (post->handshake) {
        ngx_http_atls_handshake_free(post->handshake);
        post->handshake = NULL;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD drop, requests:%uD", post->label,
                   post->session->requests);

    ngx_http_atls_finish_count(post);

    ngx_http_atls_session_remove(post->main_conf->zone, post->session, reason,
                                 post->request->connection->log);
    post->session = NULL;
}


static void
ngx_http_atls_finish_count(ngx_http_atls_post_t *post)
{
    /* a poll is put back twice */

    if (!post->counted) {
        post->session->bytes_in += post->body.bytes;
        post->counted = 1;
    }

    post->session->bytes_out += post->answer.bytes;

    ngx_http_atls_count_n(key_updates[NGX_HTTP_ATLS_IN],
                          post->channel.updates_in);
    ngx_http_atls_count_n(key_updates[NGX_HTTP_ATLS_OUT],
                          post->channel.updates_out);
}


static void
ngx_http_atls_finish_abort_inner(ngx_http_atls_post_t *post)
{
    ngx_http_atls_inner_t  *inner;

    inner = post->inner;

    if (inner) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls %08xD inner connection aborted", post->label);

        post->inner = NULL;
        ngx_http_atls_inner_abort(inner);
    }
}
