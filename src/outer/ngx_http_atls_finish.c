
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_finish.h"
#include "ngx_http_atls_relayed.h"


static ngx_int_t ngx_http_atls_finish_last_record(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_give_back(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_cookie(ngx_http_atls_post_t *post,
    ngx_uint_t expired);
static ngx_uint_t ngx_http_atls_finish_expires(ngx_http_atls_post_t *post,
    ngx_int_t status);
static ngx_uint_t ngx_http_atls_finish_cut_short(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_abort_inner(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_drop_session(ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_finish_unused(ngx_http_atls_post_t *post);


/*
 * All is done: the last records, the session back into the table, and only
 * then the end of the response, since the client's next POST may be at another
 * worker before this function returns.
 */

void
ngx_http_atls_finish(ngx_http_atls_post_t *post)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = post->request;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls post finish, closing:%d refused:%d",
                   post->closing, post->refused);

    if (post->stage == ngx_http_atls_post_established
        && ngx_http_atls_finish_last_record(post) != NGX_OK)
    {
        ngx_http_atls_finish_error(post, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (!post->answer.started && ngx_http_atls_finish_headers(post) != NGX_OK) {
        ngx_http_atls_finish_error(post, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_http_atls_finish_give_back(post) != NGX_OK) {
        ngx_http_atls_finish_error(post, NGX_HTTP_ATLS_ZONE_FULL);
        return;
    }

    if (post->event.posted) {
        ngx_delete_posted_event(&post->event);
    }

    ngx_http_atls_inner_release(post);

    post->stage = ngx_http_atls_post_done;

    if (post->bad_gateway && !post->closing && post->answer.length == 0) {
        rc = ngx_http_atls_problem(r, NGX_HTTP_ATLS_PAYLOAD_REFUSED);

    } else {
        rc = ngx_http_atls_answer_finish(&post->answer);
    }

    r->read_event_handler = ngx_http_block_reading;

    ngx_http_finalize_request(r, rc);
}


/*
 * The alert that ends a session, or an answer that is still owed.
 *
 * close_notify says that nothing is missing.  Someone on the path can bring
 * about that a response is cut, by closing its side of the connection or by
 * making others wait, and must not get that said.
 */

static ngx_int_t
ngx_http_atls_finish_last_record(ngx_http_atls_post_t *post)
{
    u_char   *p, record[TRL_CHANNEL_SHORT_RECORD];
    ssize_t   n;
    unsigned  alert;

    p = record;

    if (post->refused) {

        post->closing = 1;

        if (post->channel.peer_alert) {
            return NGX_OK;
        }

        n = trl_channel_alert(&post->channel, post->channel.alert, p);

    } else if (post->closing) {
        alert = (post->cut && !post->channel.state->read_closed)
                ? TRL_INTERNAL_ERROR : TRL_CLOSE_NOTIFY;

        n = trl_channel_alert(&post->channel, alert, p);

    } else if (post->bad_gateway) {
        return NGX_OK;

    } else {
        n = trl_channel_answer(&post->channel, p);
    }

    if (n < 0) {
        ngx_ssl_error(NGX_LOG_ALERT, post->request->connection->log, 0,
                      "atls record cannot be sealed");
        return NGX_ERROR;
    }

    if (n == 0) {
        return NGX_OK;
    }

    post->sealed = 1;

    return ngx_http_atls_answer_copy(&post->answer, p, n);
}


static ngx_int_t
ngx_http_atls_finish_give_back(ngx_http_atls_post_t *post)
{
    ngx_str_t               rest;
    ngx_shm_zone_t         *zone;
    ngx_http_atls_inner_t  *inner;

    zone = post->main_conf->zone;

    if (post->closing) {
        ngx_http_atls_finish_drop_session(post);
        return NGX_OK;
    }

    inner = post->inner;

    /* a POST without a record of the client's keeps no session alive */

    if (post->opened) {
        post->session->used = ngx_http_atls_clock();
    }

    if (post->stage == ngx_http_atls_post_established) {

        ngx_http_atls_body_rest(&post->body, &rest);

        if (ngx_http_atls_session_store(zone, &post->session->pending,
                                        rest.data, rest.len)
            != NGX_OK)
        {
            ngx_http_atls_session_full(zone, "has no memory for a record",
                                       post->request->connection->log);

            post->closing = 1;
            return NGX_ERROR;
        }

        trl_channel_done(&post->channel);

    } else {
        ngx_http_atls_handshake_attach(post->handshake, NULL);
        post->handshake = NULL;
    }

    if (inner) {
        post->inner = NULL;
        post->session->inner = inner;
        ngx_http_atls_inner_park(inner);
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls session put: %p, inner:%p", post->session, inner);

    ngx_http_atls_session_put(zone, post->session);
    post->session = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_finish_headers(ngx_http_atls_post_t *post)
{
    ngx_http_request_t  *r;

    r = post->request;

    /*
     * Records that a handshake has left to be sent go out with a 502, as the
     * client can't do without them.
     */

    r->headers_out.status = (post->bad_gateway && !post->closing)
                            ? NGX_HTTP_BAD_GATEWAY : NGX_HTTP_OK;

    if (post->closing) {
        return post->fresh ? NGX_OK : ngx_http_atls_finish_cookie(post, 1);
    }

    return post->fresh ? ngx_http_atls_finish_cookie(post, 0) : NGX_OK;
}


static ngx_int_t
ngx_http_atls_finish_cookie(ngx_http_atls_post_t *post, ngx_uint_t expired)
{
    ngx_str_t            value;
    ngx_http_request_t  *r;

    r = post->request;

    if (ngx_http_atls_cookie_header(r, &post->conf->cookie,
                                    expired ? NULL : post->session->id,
                                    ngx_http_atls_relayed_secure(r->connection),
                                    &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_atls_add_header(r, "Set-Cookie", &value);
}


void
ngx_http_atls_finish_error(ngx_http_atls_post_t *post, ngx_int_t status)
{
    ngx_uint_t           started;
    ngx_http_request_t  *r;

    r = post->request;
    started = post->answer.started;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls post fail: %i, started:%ui", status, started);

    if (started && ngx_http_atls_finish_cut_short(post)) {
        return;
    }

    /* without an error of the connection, a 400 is for what chunks are not */

    if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE
        || (status == NGX_HTTP_BAD_REQUEST && !r->connection->error))
    {
        /* how much of it was used depends on how it came: it is all the same */

        if (post->stage == ngx_http_atls_post_begins && post->session) {
            ngx_http_atls_inner_resume(post);
        }

        ngx_http_atls_finish_drop_session(post);
    }

    ngx_http_atls_finish_release(post);

    /* the request may go on for a while, but not the POST */

    r->read_event_handler = ngx_http_block_reading;

    if (started) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (ngx_http_atls_finish_expires(post, status)
        && ngx_http_atls_finish_cookie(post, 1) != NGX_OK)
    {
        status = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        if (!r->connection->error) {
            status = NGX_HTTP_ATLS_UNREADABLE_BODY;
        }

        break;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        status = NGX_HTTP_ATLS_TOO_LARGE;
        break;

    case NGX_HTTP_INTERNAL_SERVER_ERROR:
        status = NGX_HTTP_ATLS_INTERNAL_ERROR;
        break;
    }

    if (status > NGX_HTTP_ATLS_PROBLEM) {
        status = ngx_http_atls_problem(r, status);
    }

    ngx_http_finalize_request(r, status);
}


/*
 * Is the client to forget its cookie?  Not that of a session which it has not
 * heard of, or which goes on elsewhere.
 */

static ngx_uint_t
ngx_http_atls_finish_expires(ngx_http_atls_post_t *post, ngx_int_t status)
{
    if (post->fresh) {
        return 0;
    }

    return post->closing
           || (ngx_http_atls_problem_status(status) == NGX_HTTP_ATLS_GONE
               && post->cookie && !post->elsewhere);
}


/*
 * The rest of the body can't be had, a part of the response is sent, and the
 * client is still there: the response ends as if it were whole, and only the
 * session does not.
 */

static ngx_uint_t
ngx_http_atls_finish_cut_short(ngx_http_atls_post_t *post)
{
    ngx_connection_t  *c;

    c = post->request->connection;

    if (post->cut_short || post->body.status == 0 || post->failed
        || post->answer.error || c->error || c->timedout)
    {
        return 0;
    }

    post->cut_short = 1;

    ngx_http_atls_finish_abort_inner(post);

    post->closing = 1;
    post->cut = 1;

    ngx_http_atls_finish(post);

    return 1;
}


static void
ngx_http_atls_finish_abort_inner(ngx_http_atls_post_t *post)
{
    ngx_http_atls_inner_t  *inner;

    inner = post->inner;

    if (inner) {
        post->inner = NULL;
        ngx_http_atls_inner_abort(inner);
    }
}


static void
ngx_http_atls_finish_drop_session(ngx_http_atls_post_t *post)
{
    ngx_http_atls_finish_abort_inner(post);

    if (post->stage == ngx_http_atls_post_established) {
        trl_channel_done(&post->channel);
    }

    if (post->handshake) {
        ngx_http_atls_handshake_free(post->handshake);
        post->handshake = NULL;
    }

    if (post->session) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls session removed: %p", post->session);

        ngx_http_atls_session_remove(post->main_conf->zone, post->session);
        post->session = NULL;

        /* of a new one the client has not heard yet */

        post->closing = !post->fresh;
    }
}


/*
 * Before its time: a session goes on only if nothing of the body was used, or
 * all of it, and no plaintext of it was taken.  Else bytes would be missing
 * from the middle of the client's stream: someone on the path may tell the
 * client that the POST was served.
 */

void
ngx_http_atls_finish_release(ngx_http_atls_post_t *post)
{
    if (post->event.posted) {
        ngx_delete_posted_event(&post->event);
    }

    ngx_http_atls_inner_release(post);

    if (post->stage == ngx_http_atls_post_done) {
        return;
    }

    if (post->stage == ngx_http_atls_post_begins && post->session) {

        if (post->handshake) {
            ngx_http_atls_handshake_attach(post->handshake, NULL);
            post->handshake = NULL;
        }

        ngx_http_atls_session_put(post->main_conf->zone, post->session);
        post->session = NULL;

    } else if (post->stage == ngx_http_atls_post_established
               && ngx_http_atls_finish_unused(post))
    {
        (void) ngx_http_atls_finish_give_back(post);
    }

    ngx_http_atls_finish_drop_session(post);

    post->stage = ngx_http_atls_post_done;
}


/*
 * Do both ends agree on all sequence numbers, and has no plaintext been taken?
 * Then the whole body is opened, and there was nothing for an inner request.
 */

static ngx_uint_t
ngx_http_atls_finish_unused(ngx_http_atls_post_t *post)
{
    if (post->taken || post->sealed || post->closing || post->refused
        || post->channel.state->answer_owed)
    {
        return 0;
    }

    if (post->ended) {
        return 1;
    }

    return post->plain_len == 0 && !post->request->reading_body
           && ngx_http_atls_body_fill(&post->body) == NGX_DONE;
}
