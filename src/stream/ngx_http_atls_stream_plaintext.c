
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_handshake_io.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_coding.h"
#include "ngx_http_atls_datagrams.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_datagrams.h"
#include "ngx_http_atls_stream_handshake.h"
#include "ngx_http_atls_stream_message.h"
#include "ngx_http_atls_stream_plaintext.h"


static ngx_int_t ngx_http_atls_stream_record(ngx_http_atls_post_t *post);
static void ngx_http_atls_stream_refused(ngx_http_atls_post_t *post);


ngx_int_t
ngx_http_atls_stream_plaintext(ngx_http_atls_post_t *post, u_char **data,
    size_t *len)
{
    ngx_int_t  rc;

    while (post->plain_len == 0) {

        post->plain_taken = 0;

        if (post->end == ngx_http_atls_end_refused) {
            return NGX_ERROR;
        }

        if (post->status) {
            return post->status;
        }

        if (post->ended) {
            return NGX_DONE;
        }

        switch (post->stage) {

        case ngx_http_atls_post_handshake:
            rc = ngx_http_atls_stream_handshake(post);
            break;

        case ngx_http_atls_post_message:
            rc = ngx_http_atls_stream_message(post);
            break;

        case ngx_http_atls_post_datagrams:
            rc = ngx_http_atls_stream_datagrams(post);
            break;

        default: /* records */
            rc = ngx_http_atls_stream_record(post);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    *data = post->plain;
    *len = post->plain_len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_stream_record(ngx_http_atls_post_t *post)
{
    int         n;
    u_char     *record;
    size_t      size;
    ngx_int_t   rc;

    rc = ngx_http_atls_body_record(&post->body, &post->channel, &record, &size);

    if (rc == NGX_DONE) {
        post->ended = 1;
        return NGX_DONE;
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        post->status = rc;
        return rc;
    }

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_OK) {
        ngx_log_debug4(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls %08xD record in: %ui, %uz, number:%uL",
                       post->label, (ngx_uint_t) record[0], size,
                       post->channel.state->read.seq);

        ngx_http_atls_stream_print(post, record, size);
    }

    n = (rc == NGX_OK) ? trl_channel_open(&post->channel, record, size,
                                          &post->plain, &post->plain_len)
                       : TRL_ERROR;

    ngx_http_atls_stream_opened(post, n);

    return NGX_OK;
}


void
ngx_http_atls_stream_opened(ngx_http_atls_post_t *post, int rc)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD record opened: %d, %uz", post->label, rc,
                   post->plain_len);

    if (rc == TRL_OK) {
        post->opened = 1;
        ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_IN, post->plain_len);

        return;
    }

    post->plain_len = 0;

    if (rc == TRL_CLOSED) {
        post->ended = 1;

        ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_IN, 0);
        ngx_http_atls_count_alert(NGX_HTTP_ATLS_IN, TRL_CLOSE_NOTIFY);

        ngx_http_atls_stream_end_session(post, ngx_http_atls_end_closed);

        return;
    }

    ngx_http_atls_stream_end_session(post, ngx_http_atls_end_refused);
    ngx_http_atls_stream_refused(post);

    ngx_ssl_error(NGX_LOG_INFO, post->request->connection->log, 0,
                  "atls record refused: %s", post->channel.error);

    ngx_http_atls_body_explain(post->request);
}


/* Counts a record that was refused, or a fatal alert. */

static void
ngx_http_atls_stream_refused(ngx_http_atls_post_t *post)
{
    if (post->channel.peer_alert) {
        ngx_http_atls_count_alert(NGX_HTTP_ATLS_IN, post->channel.peer_alert);
        return;
    }

    /* others are not caused by a client */

    if (post->channel.reason < TRL_REFUSALS) {
        ngx_http_atls_count(refused[post->channel.reason]);
    }
}


void
ngx_http_atls_stream_take(ngx_http_atls_post_t *post, size_t len)
{
    post->plain += len;
    post->plain_len -= len;
    post->plain_taken += len;
    post->taken = 1;
}


ngx_int_t
ngx_http_atls_stream_push_back(ngx_http_atls_post_t *post, u_char *data,
    size_t len)
{
    u_char  *p;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD plaintext pushed back: %uz", post->label, len);

    /* usually unchanged; a record may contain several requests */

    if (len <= post->plain_taken
        && ngx_memcmp(post->plain - len, data, len) == 0)
    {
        post->plain -= len;
        post->plain_len += len;
        post->plain_taken -= len;

        return NGX_OK;
    }

    p = ngx_pnalloc(post->request->pool, len + post->plain_len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, data, len);
    ngx_memcpy(p + len, post->plain, post->plain_len);

    post->plain = p;
    post->plain_len += len;
    post->plain_taken = 0;

    return NGX_OK;
}


size_t
ngx_http_atls_stream_max(ngx_http_atls_post_t *post)
{
    size_t  room;

    if (post->stage == ngx_http_atls_post_failed) {
        /* records are not sealed after a failure */
        return post->conf->buffer_size;
    }

    if (post->stage == ngx_http_atls_post_handshake) {
        return ngx_min(ngx_http_atls_handshake_max(post->handshake),
                       post->conf->buffer_size);
    }

    if (post->stage == ngx_http_atls_post_message) {
        room = ngx_http_atls_coding_room(post->coding);

        /* a full record is sealed first */

        return room ? room : post->coding->plain_max;
    }

    if (post->stage == ngx_http_atls_post_datagrams) {
        return ngx_min(ngx_http_atls_datagrams_max(&post->channel),
                       post->conf->buffer_size);
    }

    return ngx_min(trl_channel_max(&post->channel), post->conf->buffer_size);
}


ngx_int_t
ngx_http_atls_stream_seal(ngx_http_atls_post_t *post, struct iovec *iov,
    ngx_uint_t niov, size_t len)
{
    u_char   *p;
    ssize_t   n;

    if (post->bad_gateway) {
        return NGX_OK;
    }

    if (post->stage == ngx_http_atls_post_failed) {
        return NGX_ERROR;
    }

    if (post->stage == ngx_http_atls_post_message) {
        return ngx_http_atls_stream_seal_message(post, iov, niov, len);
    }

    p = ngx_http_atls_stream_room(post, len + TRL_CHANNEL_OVERHEAD);

    if (p == NULL) {
        return post->answer.error ? NGX_ERROR : NGX_AGAIN;
    }

    if (post->stage == ngx_http_atls_post_handshake) {
        return ngx_http_atls_stream_seal_early(post, iov, niov, len, p);
    }

    if (post->stage == ngx_http_atls_post_datagrams
        && ngx_http_atls_stream_reserve(post, 0) != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = trl_channel_seal(&post->channel, iov, niov, p);

    if (n < 0) {
        /* in TLS 1.2, the session ends before the AEAD limit */

        if (post->channel.reason == TRL_E_KEY_LIMIT) {
            post->session->reason = ngx_http_atls_ending_key_limit;
        }

        ngx_ssl_error(post->channel.alert == TRL_CLOSE_NOTIFY
                      ? NGX_LOG_INFO : NGX_LOG_ALERT,
                      post->request->connection->log, 0,
                      "atls record cannot be sealed: %s", post->channel.error);

        ngx_http_atls_stream_end_session(post, ngx_http_atls_end_closed);

        return NGX_ERROR;
    }

    ngx_log_debug5(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD record out: %d, %z, number:%uL, plaintext:%uz",
                   post->label, TRL_APPLICATION_DATA, n,
                   post->channel.state->write.seq - 1, len);

    post->sealed = 1;
    ngx_http_atls_answer_commit(&post->answer, n);
    ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_OUT, len);

    ngx_http_atls_stream_send_later(post);

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_stream_answer(ngx_http_atls_post_t *post)
{
    u_char   record[TRL_CHANNEL_SHORT_RECORD];
    ssize_t  n;

    if (post->datagrams
        && (!post->channel.state->answer_owed
            || ngx_http_atls_stream_reserve(post, 0) != NGX_OK))
    {
        return NGX_OK;
    }

    n = trl_channel_answer(&post->channel, record);

    return ngx_http_atls_stream_short(post, record, n);
}


ngx_int_t
ngx_http_atls_stream_short(ngx_http_atls_post_t *post, u_char *record,
    ssize_t n)
{
    if (n < 0) {
        ngx_ssl_error(NGX_LOG_ALERT, post->request->connection->log, 0,
                      "atls record cannot be sealed");
        return NGX_ERROR;
    }

    if (n == 0) {
        return NGX_OK;
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD record out: %ui, %z, number:%uL", post->label,
                   (ngx_uint_t) record[0], n,
                   post->channel.state->write.seq - 1);

    post->sealed = 1;
    ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_OUT, 0);

    return ngx_http_atls_answer_copy(&post->answer, record, n);
}
