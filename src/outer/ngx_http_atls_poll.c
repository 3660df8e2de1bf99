
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_finish.h"
#include "ngx_http_atls_open.h"
#include "ngx_http_atls_poll.h"
#include "ngx_http_atls_retry.h"


static ngx_int_t ngx_http_atls_poll_take(ngx_http_atls_post_t *post);
static void ngx_http_atls_poll_stop(ngx_http_atls_post_t *post);


/*
 * The first poll shows how the client polls: if it can send records, nobody
 * else gets its output with an empty POST.
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

    return inner->polls == ngx_http_atls_polls_empty;
}


ngx_uint_t
ngx_http_atls_poll_waits(ngx_http_atls_post_t *post)
{
    ngx_str_t               rest;
    ngx_http_atls_inner_t  *inner;

    inner = post->inner;

    ngx_http_atls_body_rest(&post->body, &rest);

    if (post->stage != ngx_http_atls_post_established || post->finished
        || post->taken || post->end != ngx_http_atls_end_none || rest.len)
    {
        return 0;
    }

    if (post->opened && inner->polls == ngx_http_atls_polls_unknown
        && ngx_http_atls_inner_tunnel(inner))
    {
        inner->polls = ngx_http_atls_polls_records;
    }

    return post->conf->poll_timeout && !post->waited && !post->sealed
           && !post->answer.gone && !post->channel.state->answer_owed;
}


void
ngx_http_atls_poll(ngx_http_atls_post_t *post)
{
    ngx_http_atls_inner_t  *inner;

    inner = post->inner;

    ngx_memcpy(post->id, post->session->id, NGX_HTTP_ATLS_ID_LEN);

    post->waits = 1;

    if (ngx_http_atls_finish_keep(post) != NGX_OK) {
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
        ngx_http_atls_finish_error(post, rc);
        return NGX_DONE;
    }

    return NGX_OK;
}


void
ngx_http_atls_poll_leave(ngx_http_atls_post_t *post)
{
    ngx_http_atls_response_t  response;

    ngx_http_atls_poll_stop(post);

    post->stage = ngx_http_atls_post_established;

    if (post->opened && ngx_http_atls_poll_take(post) == NGX_OK) {

        /* when the POST is sent again, it does not wait any more */

        ngx_http_atls_session_put(post->main_conf->zone, post->session,
                                  ngx_http_atls_retry_response(post,
                                                               &response));
        post->session = NULL;
    }

    post->stage = ngx_http_atls_post_done;
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


static void
ngx_http_atls_poll_stop(ngx_http_atls_post_t *post)
{
    post->waits = 0;

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
