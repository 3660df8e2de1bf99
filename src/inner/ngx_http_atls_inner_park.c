
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_end.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_inner_park.h"


#define NGX_HTTP_ATLS_PARKED_SHARE  4       /* a quarter of all connections */


static void ngx_http_atls_inner_time(ngx_http_atls_inner_t *inner);


/*
 * A client may have many parked inner connections per outer connection, so
 * their number is limited.  The oldest one is closed first.
 */

void
ngx_http_atls_inner_park(ngx_http_atls_inner_t *inner)
{
    ngx_queue_t            *q;
    ngx_http_atls_inner_t  *oldest;

    inner->post = NULL;
    inner->parked = 1;

    ngx_http_atls_inner_time(inner);

    /* the header handler must detect that the connection is closed */

    inner->connection->read->ready = 1;

    ngx_queue_insert_head(&ngx_http_atls_process.parked, &inner->queue);
    ngx_http_atls_process.nparked++;
    ngx_http_atls_gauge(parked, ngx_http_atls_process.nparked);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                   "atls %08xD park, parked:%ui", inner->label,
                   ngx_http_atls_process.nparked);

    if (ngx_http_atls_process.nparked
        <= ngx_cycle->connection_n / NGX_HTTP_ATLS_PARKED_SHARE)
    {
        return;
    }

    q = ngx_queue_last(&ngx_http_atls_process.parked);
    oldest = ngx_queue_data(q, ngx_http_atls_inner_t, queue);

    /* clients can cause this very often */

    if (ngx_http_atls_process.parked_logged != ngx_time()) {
        ngx_http_atls_process.parked_logged = ngx_time();

        ngx_log_error(NGX_LOG_WARN, oldest->connection->log, 0,
                      "atls too many parked requests: %ui, closing the oldest "
                      "session", ngx_http_atls_process.nparked);
    }

    oldest->answering = ngx_http_atls_inner_half_answered(oldest);

    ngx_http_atls_inner_abort(oldest);

    /* immediately: the next POST may be processed before the posted events */

    ngx_http_atls_session_abandon(oldest->zone, oldest->info.id, oldest,
                                  ngx_http_atls_inner_end(oldest),
                                  ngx_http_atls_inner_overtaken(oldest));
}


/*
 * Core restarts client_body_timeout whenever there are no data to read.  A
 * POST without data does not extend the time, since anybody who knows the
 * cookie can send one.
 */

static void
ngx_http_atls_inner_time(ngx_http_atls_inner_t *inner)
{
    ngx_event_t     *rev;
    ngx_msec_int_t   remaining;

    rev = inner->connection->read;

    if (!rev->timer_set) {
        inner->timed = 0;
        return;
    }

    if (inner->timed && !inner->received) {
        remaining = (ngx_msec_int_t) (inner->deadline - ngx_current_msec);

        ngx_del_timer(rev);
        ngx_add_timer(rev, (ngx_msec_t) ngx_max(remaining, 1));

        return;
    }

    inner->deadline = rev->timer.key;
    inner->timed = 1;
    inner->received = 0;
}


void
ngx_http_atls_inner_unpark(ngx_http_atls_inner_t *inner)
{
    if (inner->parked) {
        ngx_http_atls_inner_wake(inner);

        ngx_queue_remove(&inner->queue);
        ngx_http_atls_process.nparked--;
        ngx_http_atls_gauge(parked, ngx_http_atls_process.nparked);
    }
}


void
ngx_http_atls_inner_resume(ngx_http_atls_post_t *post)
{
    ngx_http_atls_inner_t  *inner;

    inner = post->session->inner;

    if (inner == NULL) {
        return;
    }

    post->session->inner = NULL;
    post->inner = inner;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                   "atls %08xD resume by *%uA, blocked:%d", inner->label,
                   post->request->connection->number, (int) inner->blocked);

    ngx_http_atls_inner_unpark(inner);

    inner->post = post;
    inner->parked = 0;

    inner->connection->read->pending_eof = 0;
    ngx_http_atls_inner_readable(inner);

    if (inner->blocked) {
        inner->blocked = 0;
        ngx_http_atls_inner_writable(inner);
    }
}


void
ngx_http_atls_inner_abort(ngx_http_atls_inner_t *inner)
{
    ngx_http_atls_inner_unpark(inner);

    inner->post = NULL;
    inner->parked = 0;

    ngx_http_atls_inner_lost(inner);
}
