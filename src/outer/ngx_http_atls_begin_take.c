
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_store.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_begin_take.h"
#include "ngx_http_atls_outcome.h"


/* Pauses between two looks at a busy session, in milliseconds. */

#define NGX_HTTP_ATLS_MIN_PAUSE     5
#define NGX_HTTP_ATLS_MAX_PAUSE     500


static ngx_int_t ngx_http_atls_begin_ask(ngx_http_atls_post_t *post);
static void ngx_http_atls_begin_asked(ngx_http_atls_taking_t *taking);


ngx_int_t
ngx_http_atls_begin_take(ngx_http_atls_post_t *post)
{
    ngx_http_atls_owner_t  owner;

    post->home = post->conf;

    post->take = ngx_http_atls_session_take(post->main_conf->zone, post->id,
                                            &post->home, &post->session,
                                            &owner);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD take again: %d", post->label, (int) post->take);

    switch (post->take) {

    case ngx_http_atls_take_busy:
        return NGX_BUSY;

    case ngx_http_atls_take_handshake:
    case ngx_http_atls_take_inner:

        /* meanwhile, another POST has moved the session */

        post->take = ngx_http_atls_take_busy;
        return NGX_DECLINED;

    case ngx_http_atls_take_ok:
        post->handshake = ngx_http_atls_session_handshake(post->session);

        if (post->handshake) {
            ngx_http_atls_handshake_attach(post->handshake, post);
        }

        break;

    case ngx_http_atls_take_unknown:

        if (post->main_conf->store
            && ngx_http_atls_begin_ask(post) == NGX_AGAIN)
        {
            return NGX_AGAIN;
        }

        break;

    default:
        break;
    }

    if (post->event.timer_set) {
        ngx_del_timer(&post->event);
    }

    return NGX_OK;
}


/*
 * The session was there, and may have been put into the store meanwhile: then
 * it is taken back.  Another machine that has taken it can serve the POST, but
 * this one cannot be relayed any more: the client has to send it again.
 */

static ngx_int_t
ngx_http_atls_begin_ask(ngx_http_atls_post_t *post)
{
    ngx_http_atls_taking_t  *taking;

    post->take = ngx_http_atls_take_unreachable;

    if (post->dtls) {
        return NGX_OK;
    }

    taking = post->taking;

    if (taking == NULL) {
        taking = ngx_pcalloc(post->request->pool,
                             sizeof(ngx_http_atls_taking_t));
        if (taking == NULL) {
            return NGX_OK;
        }

        taking->handler = ngx_http_atls_begin_asked;
        taking->data = post;
        taking->taken = ngx_http_atls_taken_failed;

        post->taking = taking;

        (void) ngx_http_atls_store_take(post->main_conf, post->id, taking);
    }

    if (taking->op) {
        post->take = ngx_http_atls_take_ok;
        return NGX_AGAIN;
    }

    if (taking->taken == ngx_http_atls_taken_gone) {
        post->take = ngx_http_atls_take_unknown;
    }

    return NGX_OK;
}


/*
 * The event is not posted: timers expire before posted events are processed,
 * and that of the drain would put the session into the store again.
 */

static void
ngx_http_atls_begin_asked(ngx_http_atls_taking_t *taking)
{
    ngx_http_atls_post_t *post = taking->data;

    if (post->event.posted) {
        ngx_delete_posted_event(&post->event);
    }

    post->event.handler(&post->event);
}


/*
 * A POST may be sent again before the first one is answered, for example by a
 * proxy.  The session may be in another worker, so it is looked at repeatedly.
 */

ngx_int_t
ngx_http_atls_begin_wait(ngx_http_atls_post_t *post)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(post->request, ngx_http_core_module);

    if (!post->waiting) {
        post->waiting = 1;
        post->pause = NGX_HTTP_ATLS_MIN_PAUSE;
        post->patience = ngx_current_msec + clcf->client_body_timeout;
    }

    if (post->event.timer_set) {
        return NGX_AGAIN;
    }

    if ((ngx_msec_int_t) (post->patience - ngx_current_msec) <= 0) {
        return NGX_OK;
    }

    ngx_add_timer(&post->event, post->pause);
    post->pause = ngx_min(2 * post->pause, NGX_HTTP_ATLS_MAX_PAUSE);

    return NGX_AGAIN;
}


void
ngx_http_atls_begin_release(ngx_http_atls_post_t *post)
{
    if (post->session == NULL) {
        return;
    }

    if (post->handshake) {
        ngx_http_atls_handshake_attach(post->handshake, NULL);
        post->handshake = NULL;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD put back", post->label);

    ngx_http_atls_outcome_session(post->request, post->session->id);

    ngx_http_atls_session_put(post->main_conf->zone, post->session, NULL);
    post->session = NULL;
}
