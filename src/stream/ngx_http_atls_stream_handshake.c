
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_handshake_io.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_handshake.h"


static ngx_int_t ngx_http_atls_stream_input(ngx_http_atls_post_t *post,
    ngx_http_atls_handshake_e *state);
static ngx_int_t ngx_http_atls_stream_input_dtls(ngx_http_atls_post_t *post,
    ngx_http_atls_handshake_e *state);
static ngx_int_t ngx_http_atls_stream_again(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_stream_flight(ngx_http_atls_post_t *post);
static void ngx_http_atls_stream_records(ngx_http_atls_post_t *post, u_char *p,
    size_t len);
static ngx_int_t ngx_http_atls_stream_early(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_stream_finished(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_stream_failed(ngx_http_atls_post_t *post,
    ngx_int_t status);


ngx_int_t
ngx_http_atls_stream_handshake(ngx_http_atls_post_t *post)
{
    ngx_int_t                  rc;
    ngx_http_atls_handshake_e  state;

    state = ngx_http_atls_handshake_again;

    rc = post->dtls ? ngx_http_atls_stream_input_dtls(post, &state)
                    : ngx_http_atls_stream_input(post, &state);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD handshake input: %i, state:%d", post->label, rc,
                   (int) state);

    if (ngx_http_atls_stream_flight(post) != NGX_OK) {
        return ngx_http_atls_stream_failed(post,
                                           NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        post->status = rc;
    }

    if (rc == NGX_DONE && post->dtls
        && ngx_http_atls_stream_again(post) != NGX_OK)
    {
        return ngx_http_atls_stream_failed(post,
                                           NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    switch (state) {

    case ngx_http_atls_handshake_early:
        return ngx_http_atls_stream_early(post);

    case ngx_http_atls_handshake_finished:
        return ngx_http_atls_stream_finished(post);

    default: /* ngx_http_atls_handshake_failed */
        ngx_http_atls_body_explain(post->request);
        break;
    }

    /* if the client does not use TLS, it gets an HTTP error, not an alert */

    if (!ngx_http_atls_handshake_answered(post->handshake)) {
        return ngx_http_atls_stream_failed(post, NGX_HTTP_ATLS_NOT_TLS);
    }

    post->stage = ngx_http_atls_post_failed;
    post->ended = 1;

    ngx_http_atls_stream_end_session(post, ngx_http_atls_end_closed);

    return NGX_DONE;
}


/*
 * Passes the available body to the handshake, record by record.  Return codes
 * are those of body functions.
 */

static ngx_int_t
ngx_http_atls_stream_input(ngx_http_atls_post_t *post,
    ngx_http_atls_handshake_e *state)
{
    size_t      len;
    u_char     *data;
    ngx_int_t   rc;

    do {
        rc = ngx_http_atls_body_read(&post->body,
                                 ngx_http_atls_handshake_want(post->handshake),
                                 &data, &len);
        if (rc != NGX_OK) {
            return rc;
        }

        ngx_http_atls_stream_print(post, data, len);

        *state = ngx_http_atls_handshake_input(post->handshake, data, len,
                                               post->request->connection->log);

    } while (*state == ngx_http_atls_handshake_again);

    return NGX_OK;
}


/* The same with DTLS; what is no record is skipped, and all that follows. */

static ngx_int_t
ngx_http_atls_stream_input_dtls(ngx_http_atls_post_t *post,
    ngx_http_atls_handshake_e *state)
{
    u_char     *record;
    size_t      size;
    ngx_int_t   rc;

    record = NULL;
    size = 0;

    do {
        rc = post->garbage ? NGX_ERROR
                           : ngx_http_atls_body_record(&post->body, NULL,
                                                       &record, &size);

        if (rc == NGX_ERROR) {
            post->garbage = 1;
            rc = ngx_http_atls_body_discard(&post->body);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        *state = ngx_http_atls_handshake_datagram(post->handshake, record, size,
                                               post->request->connection->log);

    } while (*state == ngx_http_atls_handshake_again);

    return NGX_OK;
}


/* A flight that the client has sent again is answered by the same one again. */

static ngx_int_t
ngx_http_atls_stream_again(ngx_http_atls_post_t *post)
{
    ngx_str_t   flight;
    ngx_uint_t  again;

    flight = ngx_http_atls_handshake_flight(post->handshake, &again);

    if (!again || post->sealed || flight.len == 0) {
        return NGX_OK;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD flight again: %uz", post->label, flight.len);

    return ngx_http_atls_answer_copy(&post->answer, flight.data, flight.len);
}


/* Sends the output of OpenSSL. */

static ngx_int_t
ngx_http_atls_stream_flight(ngx_http_atls_post_t *post)
{
    ngx_str_t  flight;

    flight = ngx_http_atls_handshake_output(post->handshake);

    if (flight.len == 0) {
        return NGX_OK;
    }

    ngx_http_atls_stream_records(post, flight.data, flight.len);

    post->sealed = 1;

    if (ngx_http_atls_answer_copy(&post->answer, flight.data, flight.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_atls_handshake_sent(post->handshake);

    return NGX_OK;
}


/* Logs the records in the output of OpenSSL. */

static void
ngx_http_atls_stream_records(ngx_http_atls_post_t *post, u_char *p, size_t len)
{
#if (NGX_DEBUG)

    size_t  n, header;

    header = post->dtls ? TRL_DATAGRAM_HEADER : TRL_HEADER_SIZE;

    for ( /* void */ ; len >= header; p += n, len -= n) {
        n = ngx_min(len, header + (size_t) (p[header - 2] << 8)
                         + p[header - 1]);

        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls %08xD handshake record out: %ui, %uz", post->label,
                       (ngx_uint_t) p[0], n);
    }

#endif
}


/*
 * Early data: requests are processed during the handshake, which may need
 * further POSTs.  After the last request of the session, early data are
 * ignored, and the handshake continues.
 */

static ngx_int_t
ngx_http_atls_stream_early(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;
    ngx_str_t  data;

    if (post->session->end != ngx_http_atls_end_none && post->inner == NULL) {
        return NGX_OK;
    }

    rc = ngx_http_atls_handshake_describe(post->handshake, post->session);

    if (rc != NGX_OK) {
        post->status = (rc == NGX_BUSY) ? NGX_HTTP_ATLS_ZONE_FULL
                                        : NGX_HTTP_INTERNAL_SERVER_ERROR;
        return post->status;
    }

    post->target = *ngx_http_atls_handshake_target(post->handshake);

    data = ngx_http_atls_handshake_early_data(post->handshake);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD early data: %uz", post->label, data.len);

    post->plain = data.data;
    post->plain_len = data.len;

    ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_IN, data.len);

    return NGX_OK;
}


/* The session is established. */

static ngx_int_t
ngx_http_atls_stream_finished(ngx_http_atls_post_t *post)
{
    ngx_int_t   rc;
    ngx_str_t   flight;
    ngx_uint_t  again;

    if (post->dtls) {
        flight = ngx_http_atls_handshake_flight(post->handshake, &again);

        post->flight.len = flight.len;
        post->flight.data = ngx_pstrdup(post->request->pool, &flight);
        if (post->flight.data == NULL) {
            return ngx_http_atls_stream_failed(post,
                                               NGX_HTTP_INTERNAL_SERVER_ERROR);
        }
    }

    rc = ngx_http_atls_handshake_freeze(post->handshake, post->session,
                                        post->request->connection->log);
    post->handshake = NULL;

    if (rc != NGX_OK) {
        return ngx_http_atls_stream_failed(post,
                                           rc == NGX_BUSY
                                           ? NGX_HTTP_ATLS_ZONE_FULL
                                           : NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

    post->finished = 1;

    rc = post->open(post);

    return rc == NGX_OK ? NGX_OK : ngx_http_atls_stream_failed(post, rc);
}


static ngx_int_t
ngx_http_atls_stream_failed(ngx_http_atls_post_t *post, ngx_int_t status)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD handshake failed: %i", post->label, status);

    post->stage = ngx_http_atls_post_failed;
    post->status = status;

    return status;
}


/* OpenSSL seals records until the client's Finished is received. */

ngx_int_t
ngx_http_atls_stream_seal_early(ngx_http_atls_post_t *post, struct iovec *iov,
    ngx_uint_t niov, size_t len, u_char *p)
{
    ngx_str_t  record;

    if (ngx_http_atls_handshake_seal(post->handshake, iov, niov, len,
                                     post->request->connection->log)
        != NGX_OK)
    {
        /* core may go on to read, but there are no keys for it */

        post->stage = ngx_http_atls_post_failed;
        post->ended = 1;

        ngx_http_atls_stream_end_session(post, ngx_http_atls_end_closed);

        return NGX_ERROR;
    }

    record = ngx_http_atls_handshake_output(post->handshake);

    ngx_http_atls_stream_records(post, record.data, record.len);

    ngx_memcpy(p, record.data, record.len);
    ngx_http_atls_handshake_sent(post->handshake);

    post->sealed = 1;
    ngx_http_atls_answer_commit(&post->answer, record.len);
    ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_OUT, len);

    ngx_http_atls_stream_send_later(post);

    return NGX_OK;
}
