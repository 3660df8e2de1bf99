
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_socket.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_finish.h"
#include "ngx_http_atls_finish_session.h"
#include "ngx_http_atls_open.h"
#include "ngx_http_atls_poll.h"
#include "ngx_http_atls_retry.h"


static void ngx_http_atls_poll_note(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_poll_take(ngx_http_atls_post_t *post);
static void ngx_http_atls_poll_put(ngx_http_atls_post_t *post);
static void ngx_http_atls_poll_stop(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_poll_watch(void);
static void ngx_http_atls_poll_unwatch(void);
static void ngx_http_atls_poll_quit(ngx_event_t *rev);


/*
 * An empty POST has no place in the client's stream.  If it was sent before the
 * last data, and is received after them, its output would precede that of the
 * data for the client.  So it gets none, unless a poll has waited for the data:
 * a client has one poll at a time, and starts none while it sends data.
 */

ngx_uint_t
ngx_http_atls_poll_is_empty(ngx_http_atls_inner_t *inner)
{
    if (!ngx_http_atls_inner_tunnel(inner)) {
        return 0;
    }

    if (inner->polls == ngx_http_atls_polls_unknown) {
        inner->polls = ngx_http_atls_polls_empty;
    }

    if (inner->polls == ngx_http_atls_polls_records || !inner->asked) {
        inner->asked = 1;
        return 0;
    }

    return 1;
}


ngx_uint_t
ngx_http_atls_poll_waits(ngx_http_atls_post_t *post)
{
    ngx_str_t               rest;
    ngx_http_atls_inner_t  *inner;

    inner = post->inner;

    ngx_http_atls_body_rest(&post->body, &rest);

    if (post->stage != ngx_http_atls_post_established || post->finished
        || post->end != ngx_http_atls_end_none || rest.len)
    {
        return 0;
    }

    ngx_http_atls_poll_note(post);

    if (post->taken
        || (post->opened && inner->polls == ngx_http_atls_polls_contested))
    {
        return 0;
    }

    return post->conf->poll_timeout && !post->waited && !post->sealed
           && !post->answer.gone && !post->channel.state->answer_owed;
}


/*
 * The first poll shows how the client polls: if it can send records, nobody
 * else gets its output with an empty POST.  If somebody else was faster, two of
 * its polls in a row show it as well.  A single record is not enough: it may be
 * a KeyUpdate, while the program that carries it polls with empty POSTs.  Data
 * of the client must not wait for the response to such a record.
 */

static void
ngx_http_atls_poll_note(ngx_http_atls_post_t *post)
{
    ngx_http_atls_inner_t  *inner;

    inner = post->inner;

    if (!post->opened || !ngx_http_atls_inner_tunnel(inner)) {
        return;
    }

    if (post->taken) {

        if (inner->polls == ngx_http_atls_polls_contested) {
            inner->polls = ngx_http_atls_polls_empty;
        }

        return;
    }

    inner->polls = (inner->polls == ngx_http_atls_polls_empty)
                   ? ngx_http_atls_polls_contested
                   : ngx_http_atls_polls_records;
}


void
ngx_http_atls_poll(ngx_http_atls_post_t *post)
{
    ngx_http_atls_inner_t  *inner;

    inner = post->inner;

    if (ngx_http_atls_poll_watch() != NGX_OK) {
        ngx_http_atls_finish(post);
        return;
    }

    ngx_memcpy(post->id, post->session->id, NGX_HTTP_ATLS_ID_LEN);

    post->waits = 1;

    if (ngx_http_atls_finish_keep(post) != NGX_OK) {
        ngx_http_atls_poll_unwatch();
        ngx_http_atls_finish_error(post, NGX_HTTP_ATLS_ZONE_FULL);
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD poll: %M", post->label,
                   post->conf->poll_timeout);

    post->stage = ngx_http_atls_post_polls;
    post->parking = 0;

    post->polled = inner;
    inner->poll = post;

    ngx_add_timer(&post->event, post->conf->poll_timeout);
}


/*
 * If another POST uses the session, it gets the output, and this one nothing.
 */

ngx_int_t
ngx_http_atls_poll_end(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    ngx_http_atls_poll_stop(post);

    post->stage = ngx_http_atls_post_begins;
    post->waited = 1;
    post->apart = 1;

    if (ngx_http_atls_poll_take(post) != NGX_OK) {
        ngx_http_atls_finish(post);
        return NGX_DONE;
    }

    rc = ngx_http_atls_open(post);

    if (rc != NGX_OK) {
        ngx_http_atls_poll_put(post);
        ngx_http_atls_finish_error(post, rc);
        return NGX_DONE;
    }

    return NGX_OK;
}


void
ngx_http_atls_poll_leave(ngx_http_atls_post_t *post)
{
    ngx_http_atls_poll_stop(post);

    post->stage = ngx_http_atls_post_begins;

    if (post->opened && ngx_http_atls_poll_take(post) == NGX_OK) {
        ngx_http_atls_poll_put(post);
    }
}


/* NGX_DECLINED: the session is in use, gone, or without the connection. */

static ngx_int_t
ngx_http_atls_poll_take(ngx_http_atls_post_t *post)
{
    ngx_shm_zone_t           *zone;
    ngx_http_atls_owner_t     owner;
    ngx_http_atls_session_t  *session;

    zone = post->main_conf->zone;

    post->take = ngx_http_atls_session_take(zone, post->id, &post->home,
                                            &session, &owner);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD poll take: %d", post->label, (int) post->take);

    if (post->take != ngx_http_atls_take_ok) {
        return NGX_DECLINED;
    }

    if (session->inner == NULL && session->end == ngx_http_atls_end_none) {
        ngx_http_atls_session_put(zone, session, NULL);
        return NGX_DECLINED;
    }

    post->session = session;

    return NGX_OK;
}


/*
 * Puts the session back without output.  If the POST is sent again, it does not
 * wait any more.
 */

static void
ngx_http_atls_poll_put(ngx_http_atls_post_t *post)
{
    ngx_http_atls_response_t  response;

    post->stage = ngx_http_atls_post_established;

    ngx_http_atls_session_put(post->main_conf->zone, post->session,
                              ngx_http_atls_retry_response(post, &response));
    post->session = NULL;

    post->stage = ngx_http_atls_post_begins;
}


static void
ngx_http_atls_poll_stop(ngx_http_atls_post_t *post)
{
    post->waits = 0;

    ngx_http_atls_poll_unwatch();

    if (post->polled) {
        post->polled->poll = NULL;
        post->polled = NULL;
    }

    if (post->event.posted) {
        ngx_delete_posted_event(&post->event);
    }

    if (post->event.timer_set) {
        ngx_del_timer(&post->event);
    }
}


/*
 * When the worker quits, core closes idle connections: a single one represents
 * all polls.
 */

static ngx_int_t
ngx_http_atls_poll_watch(void)
{
    ngx_connection_t  *c;

    if (ngx_http_atls_process.npolls == 0) {

        c = ngx_http_atls_socket_connection(ngx_cycle->log);
        if (c == NULL) {
            return NGX_ERROR;
        }

        c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
        c->idle = 1;
        c->read->handler = ngx_http_atls_poll_quit;

        ngx_http_atls_process.polls_connection = c;
    }

    ngx_http_atls_process.npolls++;

    return NGX_OK;
}


static void
ngx_http_atls_poll_unwatch(void)
{
    if (--ngx_http_atls_process.npolls == 0) {
        ngx_close_connection(ngx_http_atls_process.polls_connection);
        ngx_http_atls_process.polls_connection = NULL;
    }
}


/*
 * The client's next poll is received by a new worker, which relays it if the
 * inner connection is here.  Then it waits.
 */

static void
ngx_http_atls_poll_quit(ngx_event_t *rev)
{
    ngx_queue_t            *q, *queue;
    ngx_http_atls_inner_t  *inner;

    queue = &ngx_http_atls_process.parked;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        inner = ngx_queue_data(q, ngx_http_atls_inner_t, queue);

        if (inner->poll) {
            ngx_http_atls_stream_send_later(inner->poll);
        }
    }
}
