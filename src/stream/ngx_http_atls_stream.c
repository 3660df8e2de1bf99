
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_coding.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"


static ngx_int_t ngx_http_atls_stream_record(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_stream_handshake(ngx_http_atls_post_t *post);
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
static void ngx_http_atls_stream_refused(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_stream_message(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_stream_next(ngx_http_atls_post_t *post,
    ngx_int_t rc);
static ngx_int_t ngx_http_atls_stream_datagrams(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_stream_datagrams_end(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_stream_seal_message(ngx_http_atls_post_t *post,
    struct iovec *iov, ngx_uint_t niov, size_t len);
static ngx_int_t ngx_http_atls_stream_seal_record(ngx_http_atls_post_t *post,
    ngx_uint_t last, u_char *p);
static ngx_int_t ngx_http_atls_stream_seal_early(ngx_http_atls_post_t *post,
    struct iovec *iov, ngx_uint_t niov, size_t len, u_char *p);
static u_char *ngx_http_atls_stream_room(ngx_http_atls_post_t *post,
    size_t size);


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


/*
 * Continues the handshake.  NGX_OK: it is finished, or early data are
 * available; NGX_AGAIN: more of the body is required; NGX_DONE: the body has
 * ended; otherwise post->status.
 */

static ngx_int_t
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
ngx_http_atls_stream_print(ngx_http_atls_post_t *post, u_char *data,
    size_t len)
{
    size_t   rest;
    u_char  *last;

    last = post->print.last;

    if (len < NGX_HTTP_ATLS_PRINT_LEN) {
        rest = NGX_HTTP_ATLS_PRINT_LEN - len;

        ngx_memmove(last, last + len, rest);
        ngx_memcpy(last + rest, data, len);

        return;
    }

    ngx_memcpy(last, data + len - NGX_HTTP_ATLS_PRINT_LEN,
               NGX_HTTP_ATLS_PRINT_LEN);
}


void
ngx_http_atls_stream_count(ngx_http_atls_post_t *post, ngx_uint_t direction,
    size_t len)
{
    post->records[direction]++;
    post->bytes[direction] += len;

    ngx_http_atls_count(records[direction]);
    ngx_http_atls_count_n(plaintext[direction], len);
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


/* Opens the next record of a message. */

static ngx_int_t
ngx_http_atls_stream_message(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_coding_open(post->coding, &post->body, &post->plain,
                                   &post->plain_len);

    if (rc == NGX_DECLINED) {
        ngx_http_atls_stream_end_session(post, ngx_http_atls_end_refused);
        return NGX_ERROR;
    }

    return ngx_http_atls_stream_next(post, rc);
}


static ngx_int_t
ngx_http_atls_stream_next(ngx_http_atls_post_t *post, ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_IN, post->plain_len);
        return NGX_OK;

    case NGX_AGAIN:
        return NGX_AGAIN;

    case NGX_DONE:
        post->ended = 1;
        return NGX_DONE;

    default: /* a status or a problem */
        post->status = rc;
        return rc;
    }
}


/*
 * Opens the next records of DTLS.  An established session ends only by an alert
 * of its client, or if it cannot be used any longer.
 */

static ngx_int_t
ngx_http_atls_stream_datagrams(ngx_http_atls_post_t *post)
{
    ngx_int_t                   rc;
    ngx_http_atls_datagrams_t  *d;

    d = post->datagrams;

    rc = ngx_http_atls_datagrams_open(d, &post->body, &post->channel,
                                      &post->plain, &post->plain_len);

    if (d->valid) {
        post->opened = 1;
    }

    if (rc == NGX_DONE) {
        rc = ngx_http_atls_stream_datagrams_end(post);
    }

    if (rc != NGX_ABORT) {
        return ngx_http_atls_stream_next(post, rc);
    }

    post->ended = 1;
    d->ends = 1;

    if (d->forged) {
        ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                      "atls session has too many records that are not "
                      "authentic");

    } else {
        ngx_http_atls_count_alert(NGX_HTTP_ATLS_IN, post->channel.peer_alert);
    }

    return NGX_DONE;
}


/*
 * The last flight of the handshake may be lost.  Then the client sends its own
 * again, as RFC 6347, section 4.2.4, requires.
 */

static ngx_int_t
ngx_http_atls_stream_datagrams_end(ngx_http_atls_post_t *post)
{
    ngx_int_t                    rc;
    ngx_http_atls_print_t        print;
    ngx_http_atls_datagrams_t   *d;
    ngx_http_atls_repetition_t   flight;

    d = post->datagrams;

    if (d->discarded && d->valid == 0 && !post->finished) {
        ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                      "atls POST has no valid DTLS record: %s",
                      trl_error_text(d->reason));
    }

    if (d->handshake == 0 || post->taken || post->finished) {
        return NGX_DONE;
    }

    ngx_memzero(&print, sizeof(ngx_http_atls_print_t));

    rc = ngx_http_atls_session_retry(d->zone, d->id, post->conf, &print,
                                     post->request->pool, &flight);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD last flight again: %i", post->label, rc);

    if (rc == NGX_OK) {
        ngx_http_atls_datagrams_number(d, &flight.data);
    }

    if (rc == NGX_ERROR
        || (rc == NGX_OK
            && ngx_http_atls_answer_copy(&post->answer, flight.data.data,
                                         flight.data.len)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


ngx_int_t
ngx_http_atls_stream_reserve(ngx_http_atls_post_t *post, ngx_uint_t last)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_datagrams_reserve(post->datagrams, &post->channel, last);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    post->ended = 1;

    if (rc == NGX_DECLINED) {
        post->datagrams->ends = 1;
        post->session->reason = ngx_http_atls_ending_key_limit;
    }

    ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                  "atls record cannot be sealed: %s",
                  rc == NGX_DECLINED ? trl_error_text(TRL_E_KEY_LIMIT)
                                     : "the session has ended");

    return NGX_ERROR;
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


/*
 * RFC 8188, section 2: all records but the last have the same size.  So data
 * are collected, and a record is sealed when there are more.
 */

static ngx_int_t
ngx_http_atls_stream_seal_message(ngx_http_atls_post_t *post,
    struct iovec *iov, ngx_uint_t niov, size_t len)
{
    u_char  *p;

    if (ngx_http_atls_coding_room(post->coding) == 0) {

        p = ngx_http_atls_stream_room(post,
                                 ngx_http_atls_coding_size(post->coding, 0));
        if (p == NULL) {
            return post->answer.error ? NGX_ERROR : NGX_AGAIN;
        }

        if (ngx_http_atls_stream_seal_record(post, 0, p) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_atls_coding_add(post->coding, iov, niov);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD plaintext out: %uz", post->label, len);

    ngx_http_atls_stream_send_later(post);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_stream_seal_record(ngx_http_atls_post_t *post, ngx_uint_t last,
    u_char *p)
{
    size_t   len;
    ssize_t  n;

    len = post->coding->plain_len;

    n = ngx_http_atls_coding_seal(post->coding, last, p);

    if (n < 0) {
        ngx_ssl_error(NGX_LOG_ALERT, post->request->connection->log, 0,
                      "atls record of a message cannot be sealed");
        ngx_http_atls_stream_end_session(post, ngx_http_atls_end_cut);
        return NGX_ERROR;
    }

    ngx_log_debug5(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD message record out: %z, number:%uL, last:%ui, "
                   "plaintext:%uz", post->label, n,
                   post->coding->out.key.seq - 1, last, len);

    post->sealed = 1;
    ngx_http_atls_answer_commit(&post->answer, n);
    ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_OUT, len);

    return NGX_OK;
}


ngx_uint_t
ngx_http_atls_stream_pending(const ngx_http_atls_post_t *post)
{
    return post->stage == ngx_http_atls_post_message && post->coding->plain_len;
}


/* Without room, this function is called again when there is some. */

ngx_int_t
ngx_http_atls_stream_pad(ngx_http_atls_post_t *post)
{
    u_char  *p;

    if (!ngx_http_atls_stream_pending(post) || post->answer.length) {
        return NGX_OK;
    }

    p = ngx_http_atls_answer_room(&post->answer,
                                  ngx_http_atls_coding_size(post->coding, 0));
    if (p == NULL) {
        return post->answer.error ? NGX_ERROR : NGX_OK;
    }

    return ngx_http_atls_stream_seal_record(post, 0, p);
}


/* The buffers may be full: then another one is used. */

ngx_int_t
ngx_http_atls_stream_last(ngx_http_atls_post_t *post)
{
    u_char  *p;
    size_t   size;

    size = ngx_http_atls_coding_size(post->coding, 1);

    p = ngx_http_atls_answer_room(&post->answer, size);

    if (p == NULL) {
        p = ngx_http_atls_answer_add(&post->answer, size);
        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    return ngx_http_atls_stream_seal_record(post, 1, p);
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


/* OpenSSL seals records until the client's Finished is received. */

static ngx_int_t
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


static u_char *
ngx_http_atls_stream_room(ngx_http_atls_post_t *post, size_t size)
{
    u_char  *p;

    p = ngx_http_atls_answer_room(&post->answer, size);

    if (p || post->answer.error) {
        return p;
    }

    /* all buffers are full: send them first */

    if (ngx_http_atls_stream_flush(post) == NGX_ERROR) {
        return NULL;
    }

    p = ngx_http_atls_answer_room(&post->answer, size);

    if (p == NULL) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls %08xD response buffers are full", post->label);

        post->blocked = 1;
        ngx_http_atls_stream_send_later(post);
    }

    return p;
}


ngx_int_t
ngx_http_atls_stream_flush(ngx_http_atls_post_t *post)
{
    if (!post->answer.started && !post->answer.gone
        && post->headers(post) != NGX_OK)
    {
        post->answer.error = 1;
        return NGX_ERROR;
    }

    return ngx_http_atls_answer_flush(&post->answer);
}


/* Data of the same event loop iteration are sent together. */

void
ngx_http_atls_stream_send_later(ngx_http_atls_post_t *post)
{
    if (!post->event.posted) {
        ngx_post_event(&post->event, &ngx_posted_next_events);
    }
}


void
ngx_http_atls_stream_park(ngx_http_atls_post_t *post)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD parking", post->label);

    post->parking = 1;

    ngx_http_atls_stream_send_later(post);
}


void
ngx_http_atls_stream_end_session(ngx_http_atls_post_t *post,
    ngx_http_atls_end_e end)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD close session after POST, end:%d", post->label,
                   (int) end);

    /* the session ends after the handshake */

    if (post->stage == ngx_http_atls_post_handshake) {
        post->session->end = ngx_max(post->session->end, end);
        post->plain_len = 0;

    } else {
        post->end = ngx_max(post->end, end);
    }
}


void
ngx_http_atls_stream_inner_closed(ngx_http_atls_post_t *post,
    ngx_http_atls_end_e end)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD inner connection closed, session end:%d",
                   post->label, (int) end);

    post->inner = NULL;

    if (end != ngx_http_atls_end_none) {
        ngx_http_atls_stream_end_session(post, end);
    }

    /*
     * Sealed data must be sent even if the POST continues without an inner
     * connection: while a worker is shutting down, inner connections are
     * closed after each request.  With a message, the POST ends.
     */

    if (post->event.posted) {
        post->unsent = (post->stage != ngx_http_atls_post_message);
        ngx_delete_posted_event(&post->event);
    }

    ngx_post_event(&post->event, &ngx_posted_events);
}
