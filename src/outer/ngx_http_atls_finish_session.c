
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_shared.h"
#include "ngx_http_atls_portable.h"
#include "ngx_http_atls_drain.h"
#include "ngx_http_atls_store.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_park.h"
#include "ngx_http_atls_exported.h"
#include "ngx_http_atls_fate.h"
#include "ngx_http_atls_finish_session.h"
#include "ngx_http_atls_retry.h"


static ngx_uint_t ngx_http_atls_finish_leaves(ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_finish_each(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_put(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_rest(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_datagrams(ngx_http_atls_post_t *post);
static void ngx_http_atls_finish_count(ngx_http_atls_post_t *post);


ngx_int_t
ngx_http_atls_finish_keep(ngx_http_atls_post_t *post)
{
    ngx_uint_t                 leaves;
    ngx_shm_zone_t            *zone;
    ngx_http_atls_inner_t     *inner;
    ngx_http_atls_response_t   response;

    if (post->coding) {
        ngx_http_atls_finish_abort_inner(post);
        ngx_http_atls_exported_end(post);
        return NGX_OK;
    }

    if (post->datagrams) {
        ngx_http_atls_finish_abort_inner(post);
        ngx_http_atls_finish_datagrams(post);
        return NGX_OK;
    }

    zone = post->main_conf->zone;
    inner = post->inner;

    /* a POST without a valid record does not reset the idle timeout */

    if (post->opened) {
        post->session->used = ngx_http_atls_clock();
    }

    if (post->stage == ngx_http_atls_post_established) {

        if (!post->apart && ngx_http_atls_finish_rest(post) != NGX_OK) {
            return NGX_ERROR;
        }

        trl_channel_done(&post->channel);
    }

    if (post->stage != ngx_http_atls_post_begins) {
        ngx_http_atls_finish_count(post);
    }

    leaves = ngx_http_atls_finish_leaves(post);

    if (post->handshake) {
        ngx_http_atls_handshake_attach(post->handshake, NULL);
        post->handshake = NULL;
    }

    if (inner) {
        post->inner = NULL;
        post->session->inner = inner;

        inner->upgraded = ngx_http_atls_inner_tunnel(inner);
        ngx_http_atls_inner_park(inner);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD put, pending:%uD, inner:%p", post->label,
                   post->session->pending.len, inner);

    if (leaves) {
        return ngx_http_atls_finish_put(post);
    }

    ngx_http_atls_session_put(zone, post->session,
                              ngx_http_atls_retry_response(post, &response));
    post->session = NULL;

    if (post->main_conf->store) {
        ngx_http_atls_drain_again();
    }

    return NGX_OK;
}


/*
 * With "each", or if this machine shuts down, a session that needs nothing of
 * this process is put out.
 */

static ngx_uint_t
ngx_http_atls_finish_leaves(ngx_http_atls_post_t *post)
{
    return post->main_conf->store
           && (ngx_http_atls_finish_each(post) || ngx_http_atls_drain_puts())
           && post->stage == ngx_http_atls_post_established
           && post->handshake == NULL && post->inner == NULL
           && post->session->inner == NULL;
}


/*
 * Requests with exported keys do not take their session, and need it here: at
 * their endpoints, sessions stay, as with "lazy".
 */

static ngx_uint_t
ngx_http_atls_finish_each(ngx_http_atls_post_t *post)
{
    return post->main_conf->store && post->main_conf->store->each
           && !post->home->exported_keys;
}


static ngx_int_t
ngx_http_atls_finish_put(ngx_http_atls_post_t *post)
{
    ngx_shm_zone_t            *zone;
    ngx_http_atls_session_t   *session;
    ngx_http_atls_response_t   response;

    zone = post->main_conf->zone;
    session = post->session;
    post->session = NULL;

    if (ngx_http_atls_retry_response(post, &response)) {
        ngx_http_atls_session_hold(zone, session, &response);
    }

    if (ngx_http_atls_store_put(post->main_conf, session, &post->putting)
        == NGX_AGAIN)
    {
        return NGX_AGAIN;
    }

    ngx_http_atls_drain_again();

    return NGX_OK;
}


/*
 * A POST that does not use its session, such as a repetition, may have taken it
 * from the store.
 */

void
ngx_http_atls_finish_return(ngx_http_atls_post_t *post)
{
    ngx_http_atls_session_t  *session;

    if (!ngx_http_atls_finish_each(post) || post->session || post->coding) {
        return;
    }

    session = ngx_http_atls_portable_take_id(post->main_conf->zone, post->id);

    if (session) {
        (void) ngx_http_atls_store_put(post->main_conf, session, NULL);
    }
}


/* Stores the beginning of a record at the end of the body. */

static ngx_int_t
ngx_http_atls_finish_rest(ngx_http_atls_post_t *post)
{
    ngx_str_t        rest;
    ngx_shm_zone_t  *zone;

    zone = post->main_conf->zone;

    ngx_http_atls_body_rest(&post->body, &rest);

    if (ngx_http_atls_session_store(zone, post->session,
                                    &post->session->pending, rest.data,
                                    rest.len)
        != NGX_OK)
    {
        ngx_http_atls_session_full(zone, "has no memory for a record",
                                   post->request->connection->log);
        return NGX_ERROR;
    }

    if (rest.len) {
        ngx_http_atls_stream_print(post, rest.data, rest.len);
    }

    return NGX_OK;
}


/* The session was not taken. */

static void
ngx_http_atls_finish_datagrams(ngx_http_atls_post_t *post)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD datagrams end, valid:%ui, discarded:%ui",
                   post->label, post->datagrams->valid,
                   post->datagrams->discarded);

    ngx_http_atls_shared_end(post->main_conf->zone, post->session,
                             post->datagrams->requests, post->body.bytes,
                             post->answer.bytes, post->datagrams->user);

    trl_channel_done(&post->channel);
    post->session = NULL;
}


void
ngx_http_atls_finish_drop(ngx_http_atls_post_t *post, ngx_int_t status)
{
    ngx_http_atls_ending_e  reason;

    reason = ngx_http_atls_fate_reason(post, status);

    ngx_http_atls_finish_abort_inner(post);

    if (post->datagrams) {
        ngx_http_atls_finish_datagrams(post);
        ngx_http_atls_shared_remove(post->main_conf->zone, post->id, reason,
                                    post->request->connection->log);
        return;
    }

    if (post->stage == ngx_http_atls_post_established) {
        trl_channel_done(&post->channel);
    }

    if (post->handshake) {
        ngx_http_atls_handshake_free(post->handshake);
        post->handshake = NULL;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD drop, requests:%uD", post->label,
                   post->session->requests);

    ngx_http_atls_finish_count(post);

    ngx_http_atls_session_remove(post->main_conf->zone, post->session, reason,
                                 post->request->connection->log);
    post->session = NULL;
}


static void
ngx_http_atls_finish_count(ngx_http_atls_post_t *post)
{
    /* a poll is put back twice */

    if (!post->counted) {
        post->session->bytes_in += post->body.bytes;
        post->counted = 1;
    }

    post->session->bytes_out += post->answer.bytes;

    ngx_http_atls_count_n(key_updates[NGX_HTTP_ATLS_IN],
                          post->channel.updates_in);
    ngx_http_atls_count_n(key_updates[NGX_HTTP_ATLS_OUT],
                          post->channel.updates_out);
}


void
ngx_http_atls_finish_abort_inner(ngx_http_atls_post_t *post)
{
    ngx_http_atls_inner_t  *inner;

    inner = post->inner;

    if (inner) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls %08xD inner connection aborted", post->label);

        post->inner = NULL;
        ngx_http_atls_inner_abort(inner);
    }
}
