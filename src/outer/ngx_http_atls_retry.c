
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_accept.h"
#include "ngx_http_atls_retry.h"


static ngx_uint_t ngx_http_atls_retry_matches(ngx_http_atls_post_t *post,
    ngx_uint_t whole);
static void ngx_http_atls_retry_mark(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_retry_read(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_retry_answer(ngx_http_atls_post_t *post,
    ngx_http_atls_repetition_t *repetition);


void
ngx_http_atls_retry_first(ngx_http_atls_post_t *post, u_char *data, size_t len)
{
    post->printed = (len >= NGX_HTTP_ATLS_PRINT_LEN);

    if (post->printed) {
        ngx_memcpy(post->print.first, data, NGX_HTTP_ATLS_PRINT_LEN);
    }
}


ngx_uint_t
ngx_http_atls_retry_begins(ngx_http_atls_post_t *post)
{
    if (!ngx_http_atls_retry_matches(post, 0)) {
        return 0;
    }

    ngx_http_atls_retry_mark(post);

    return 1;
}


ngx_int_t
ngx_http_atls_retry_flight(ngx_http_atls_post_t *post)
{
    size_t      len;
    u_char     *data;
    ngx_int_t   rc;

    if (!ngx_http_atls_retry_matches(post, 0)) {
        return NGX_DECLINED;
    }

    rc = ngx_http_atls_body_peek(&post->body, TRL_MAX_RECORD, &data, &len);
    if (rc != NGX_OK) {
        return rc;
    }

    if (len < TRL_MAX_RECORD) {
        ngx_http_atls_stream_print(post, data, len);
        post->print.length = len;

        if (!ngx_http_atls_retry_matches(post, 1)) {
            return NGX_DECLINED;
        }
    }

    ngx_http_atls_retry_mark(post);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_atls_retry_matches(ngx_http_atls_post_t *post, ngx_uint_t whole)
{
    return post->conf->retry_buffer && post->printed
           && ngx_http_atls_session_repeats(post->main_conf->zone,
                                            post->session, &post->print, whole);
}


static void
ngx_http_atls_retry_mark(ngx_http_atls_post_t *post)
{
    post->retry = 1;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD POST sent again", post->label);
}


ngx_int_t
ngx_http_atls_retry(ngx_http_atls_post_t *post)
{
    ngx_int_t                   rc;
    ngx_http_atls_repetition_t  repetition;

    rc = ngx_http_atls_retry_read(post);
    if (rc != NGX_DONE) {
        return rc;
    }

    rc = ngx_http_atls_session_retry(post->main_conf->zone, post->id,
                                     post->conf, &post->print,
                                     post->request->pool, &repetition);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD response kept: %i, body:%uL", post->label, rc,
                   post->print.length);

    switch (rc) {

    case NGX_OK:
    case NGX_ABORT:

        /* anybody may send it again, so the session does not end */

        if (repetition.check
            && !ngx_http_atls_accept_view(post, &repetition.view))
        {
            return ngx_http_atls_accept_refuse(post);
        }

        if (rc == NGX_OK) {
            return ngx_http_atls_retry_answer(post, &repetition);
        }

        ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                      "atls client sent a POST again whose response was not "
                      "kept");
        return NGX_HTTP_ATLS_ANSWER_LOST;

    case NGX_DONE:
        return NGX_ABORT;

    case NGX_ERROR:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;

    default: /* NGX_BUSY, NGX_DECLINED */
        return rc;
    }
}


/* NGX_DONE: the whole body is in the fingerprint. */

static ngx_int_t
ngx_http_atls_retry_read(ngx_http_atls_post_t *post)
{
    u_char     *data;
    size_t      len;
    ngx_int_t   rc;

    for ( ;; ) {
        rc = ngx_http_atls_body_read(&post->body, TRL_MAX_RECORD, &data, &len);

        if (rc != NGX_OK) {
            break;
        }

        ngx_http_atls_stream_print(post, data, len);
    }

    post->print.length = post->body.bytes;

    return rc;
}


static ngx_int_t
ngx_http_atls_retry_answer(ngx_http_atls_post_t *post,
    ngx_http_atls_repetition_t *repetition)
{
    if (repetition->data.len
        && ngx_http_atls_answer_copy(&post->answer, repetition->data.data,
                                     repetition->data.len)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    post->retried = 1;
    post->created = repetition->created;
    post->age = repetition->age;

    return NGX_DONE;
}


/*
 * A POST that is not authentic does not change what is kept; in a tunnel, it
 * may have got data.
 */

ngx_http_atls_response_t *
ngx_http_atls_retry_response(ngx_http_atls_post_t *post,
    ngx_http_atls_response_t *response)
{
    if (post->stage == ngx_http_atls_post_begins || post->dtls
        || (post->stage == ngx_http_atls_post_established
            && !post->opened && !post->finished))
    {
        return NULL;
    }

    ngx_memzero(response, sizeof(ngx_http_atls_response_t));

    if (post->conf->retry_buffer == 0 || !post->printed || post->bad_gateway
        || post->body.bytes < NGX_HTTP_ATLS_MIN_PRINTED
        || !ngx_http_atls_body_done(&post->body))
    {
        return response;
    }

    post->print.length = post->body.bytes;

    response->keep = 1;
    response->print = &post->print;
    response->created = post->fresh;
    response->awaited = post->waits;
    response->whole = ngx_http_atls_answer_whole(&post->answer,
                                                 &response->prefix);

    if (response->whole) {
        response->len = post->answer.bytes;
        response->out = post->answer.out;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD keep response: %ui, %uL", post->label,
                   response->whole, post->answer.bytes);

    return response;
}
