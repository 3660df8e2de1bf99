
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_datagrams.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_datagrams.h"


static ngx_int_t ngx_http_atls_stream_datagrams_end(ngx_http_atls_post_t *post);


/*
 * An established session ends only by an alert of its client, or if it cannot
 * be used any longer.
 */

ngx_int_t
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
