
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_lifetime.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_plaintext.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_end.h"
#include "ngx_http_atls_inner_park.h"
#include "ngx_http_atls_accept.h"
#include "ngx_http_atls_open.h"
#include "ngx_http_atls_retry.h"


static ngx_int_t ngx_http_atls_open_prepare(ngx_http_atls_post_t *post);
static void ngx_http_atls_open_commit(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_open_joined(ngx_http_atls_post_t *post);
static ssize_t ngx_http_atls_open_size(ngx_http_atls_post_t *post,
    u_char *data, size_t len);
static ngx_int_t ngx_http_atls_open_part(ngx_http_atls_post_t *post,
    size_t pending, ssize_t size);
static ngx_int_t ngx_http_atls_open_try(ngx_http_atls_post_t *post,
    u_char *record, size_t size, size_t taken);
static void ngx_http_atls_open_answer(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_open_keep(ngx_http_atls_post_t *post,
    u_char *data, size_t len);


ngx_int_t
ngx_http_atls_open_check(ngx_http_atls_post_t *post)
{
    ngx_http_atls_accept_look(post);

    return ngx_http_atls_accept(post);
}


/* The channel can be used afterwards; the session is unchanged. */

static ngx_int_t
ngx_http_atls_open_prepare(ngx_http_atls_post_t *post)
{
    ngx_http_atls_session_t  *session;

    session = post->session;

    if (session->inner == NULL && post->inner == NULL
        && ngx_http_atls_inner_reserve(post) != NGX_OK)
    {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD open, in:%uL, out:%uL, last:%d", post->label,
                   session->state.read.seq, session->state.write.seq,
                   (int) post->last);

    if (trl_channel_init(&post->channel, &session->state) != TRL_OK) {
        ngx_ssl_error(NGX_LOG_ALERT, post->request->connection->log, 0,
                      "atls session cannot be opened");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


/* The POST is from the client: from here on, it changes the session. */

static void
ngx_http_atls_open_commit(ngx_http_atls_post_t *post)
{
    ngx_http_atls_session_t  *session;

    session = post->session;

    post->stage = ngx_http_atls_post_established;

    if (!post->apart) {
        (void) ngx_http_atls_session_store(post->main_conf->zone, session,
                                           &session->pending, NULL, 0);
    }

    if (session->inner && !post->apart) {

        /* without a poll that waits, one may have been overtaken */

        session->inner->asked = (session->inner->poll != NULL);
    }

    ngx_http_atls_inner_resume(post);

    if (post->inner) {
        post->inner->early = 0;

        if (post->last) {
            session->reason = ngx_http_atls_ending_policy;
        }

        if (post->last || session->end != ngx_http_atls_end_none
            || ngx_http_atls_lifetime_expired(session, post->home))
        {
            ngx_http_atls_inner_last(post->inner);
        }

    } else if (session->end != ngx_http_atls_end_none) {
        post->end = session->end;
        post->ended = 1;
    }
}


ngx_int_t
ngx_http_atls_open(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_open_check(post);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_atls_open_prepare(post);

    if (rc == NGX_OK) {
        ngx_http_atls_open_commit(post);
    }

    return rc;
}


ngx_int_t
ngx_http_atls_open_first(ngx_http_atls_post_t *post)
{
    u_char     *data;
    size_t      len;
    ssize_t     size;
    ngx_int_t   rc;

    if (post->session->pending.len) {
        return ngx_http_atls_open_joined(post);
    }

    rc = ngx_http_atls_body_peek(&post->body, TRL_HEADER_SIZE, &data, &len);
    if (rc != NGX_OK) {
        return rc;
    }

    size = ngx_http_atls_open_size(post, data, len);

    if (size == TRL_ERROR) {
        return NGX_HTTP_ATLS_NOT_NEXT;
    }

    if (size) {

        post->want = size;

        rc = ngx_http_atls_body_peek(&post->body, size, &data, &len);
        if (rc != NGX_OK) {
            return rc;
        }

        if (len == (size_t) size) {
            ngx_http_atls_stream_print(post, data, size);

            rc = ngx_http_atls_open_try(post, data, size, size);

            if (rc != NGX_DECLINED) {
                return rc;
            }

            ngx_http_atls_body_skip(&post->body, size);

            return NGX_HTTP_ATLS_NOT_NEXT;
        }
    }

    return ngx_http_atls_open_keep(post, data, len);
}


/*
 * A part of a record is stored, and is not authenticated.  So the body may be
 * its continuation, or begin with a record.  Each is tried when it is whole, as
 * a copy: neither the stored part nor the body is changed by this.
 */

static ngx_int_t
ngx_http_atls_open_joined(ngx_http_atls_post_t *post)
{
    u_char     *data;
    size_t      len, pending;
    ssize_t     both, alone;
    ngx_int_t   rc, rest;

    rc = ngx_http_atls_body_peek(&post->body, TRL_HEADER_SIZE, &data, &len);
    if (rc != NGX_OK) {
        return rc;
    }

    if (post->joined == NULL) {
        post->joined = ngx_pnalloc(post->request->pool,
                                   TRL_MAX_RECORD + TRL_HEADER_SIZE);
        if (post->joined == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    pending = post->session->pending.len;

    ngx_http_atls_session_load(&post->session->pending, post->joined);
    ngx_memcpy(post->joined + pending, data, len);

    both = ngx_http_atls_open_size(post, post->joined, pending + len);
    alone = ngx_http_atls_open_size(post, data, len);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD record continued, pending:%uz, size:%z or %z",
                   post->label, pending, both, alone);

    rest = ngx_http_atls_open_part(post, pending, both);

    if (rest != NGX_AGAIN && rest != NGX_DONE && rest != NGX_DECLINED) {
        return rest;
    }

    rc = ngx_http_atls_open_part(post, 0, alone);

    if (rc != NGX_DONE && rc != NGX_DECLINED) {
        return rc;
    }

    if (rest == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_DECLINED && (alone != TRL_ERROR || rest != NGX_DONE)) {
        return NGX_HTTP_ATLS_NOT_NEXT;
    }

    /* the body, which has ended, begins with a header, or does not */

    rc = ngx_http_atls_body_peek(&post->body, TRL_MAX_RECORD, &data, &len);
    if (rc != NGX_OK) {
        return rc;
    }

    if (rest == NGX_DONE && alone <= 0) {
        ngx_http_atls_session_load(&post->session->pending, post->joined);
        ngx_memcpy(post->joined + pending, data, len);

        data = post->joined;
        len += pending;
    }

    return ngx_http_atls_open_keep(post, data, len);
}


/*
 * The size of a record; 0: its header is incomplete; TRL_ERROR: the session has
 * no such record.
 */

static ssize_t
ngx_http_atls_open_size(ngx_http_atls_post_t *post, u_char *data, size_t len)
{
    return (len < TRL_HEADER_SIZE)
           ? 0 : trl_channel_fits(&post->session->state, data);
}


/*
 * Tries a record of which "pending" bytes are stored.  NGX_DONE: the body ends
 * before the record; NGX_DECLINED: it is not the next one.
 */

static ngx_int_t
ngx_http_atls_open_part(ngx_http_atls_post_t *post, size_t pending,
    ssize_t size)
{
    u_char     *data;
    size_t      n, len;
    ngx_int_t   rc;

    if (size <= 0) {
        return (size == 0) ? NGX_DONE : NGX_DECLINED;
    }

    if ((size_t) size <= pending) {
        return NGX_DECLINED;
    }

    n = size - pending;

    rc = ngx_http_atls_body_peek(&post->body, n, &data, &len);
    if (rc != NGX_OK) {
        return rc;
    }

    if (len < n) {
        return NGX_DONE;
    }

    ngx_memcpy(post->joined + pending, data, n);

    rc = ngx_http_atls_open_try(post, post->joined, size, n);

    if (rc == NGX_OK) {
        ngx_http_atls_stream_print(post, data, n);
    }

    return rc;
}


/*
 * NGX_OK: the record is the next one, and "taken" bytes of the body were a part
 * of it; NGX_DECLINED: it is not.
 */

static ngx_int_t
ngx_http_atls_open_try(ngx_http_atls_post_t *post, u_char *record, size_t size,
    size_t taken)
{
    int        n;
    ngx_int_t  rc;

    ngx_http_atls_accept_look(post);

    rc = ngx_http_atls_open_prepare(post);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD record in: %ui, %uz, number:%uL", post->label,
                   (ngx_uint_t) record[0], size,
                   post->session->state.read.seq);

    n = trl_channel_try(&post->channel, record, size, &post->plain,
                        &post->plain_len);

    if (n == TRL_FOREIGN) {
        trl_channel_done(&post->channel);
        return NGX_DECLINED;
    }

    ngx_http_atls_body_skip(&post->body, taken);

    rc = ngx_http_atls_accept(post);

    if (rc != NGX_OK) {

        /* the client itself has used the session: it ends */

        post->stage = ngx_http_atls_post_established;
        return rc;
    }

    ngx_http_atls_open_commit(post);
    ngx_http_atls_stream_opened(post, n);
    ngx_http_atls_open_answer(post);

    if (post->end != ngx_http_atls_end_none) {
        post->plain_len = 0;
    }

    return NGX_OK;
}


/*
 * RFC 8446, section 4.6.3, requires an answer before the next data.  A client
 * of an upgraded connection asks for it to find out whether the path passes the
 * response while the POST is open.
 */

static void
ngx_http_atls_open_answer(ngx_http_atls_post_t *post)
{
    if (post->inner == NULL || !ngx_http_atls_inner_tunnel(post->inner)
        || !post->channel.state->answer_owed)
    {
        return;
    }

    if (ngx_http_atls_stream_answer(post) != NGX_OK) {
        post->answer.error = 1;
    }

    ngx_http_atls_stream_send_later(post);
}


/*
 * The last POST may begin and end within records, so if it is sent again, it
 * looks like a part of one.  If the session has ended, only its alert is left.
 */

static ngx_int_t
ngx_http_atls_open_keep(ngx_http_atls_post_t *post, u_char *data, size_t len)
{
    if (ngx_http_atls_retry_begins(post)) {
        return NGX_HTTP_ATLS_NOT_NEXT;
    }

    if (post->session->inner == NULL
        && post->session->end != ngx_http_atls_end_none)
    {
        return ngx_http_atls_open(post);
    }

    return ngx_http_atls_open_store(post, data, len);
}


ngx_int_t
ngx_http_atls_open_store(ngx_http_atls_post_t *post, u_char *data, size_t len)
{
    ngx_http_request_t  *r;

    r = post->request;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD part of a record stored: %uz", post->label, len);

    if (ngx_http_atls_session_store(post->main_conf->zone, post->session,
                                    &post->session->pending, data, len)
        != NGX_OK)
    {
        ngx_http_atls_session_full(post->main_conf->zone,
                                   "has no memory for a record",
                                   r->connection->log);
        return NGX_HTTP_ATLS_ZONE_FULL;
    }

    return NGX_DONE;
}
