
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_park.h"
#include "ngx_http_atls_begin_dtls.h"
#include "ngx_http_atls_begin_new.h"
#include "ngx_http_atls_begin_take.h"
#include "ngx_http_atls_finish.h"


static void ngx_http_atls_begin_expire(ngx_http_atls_post_t *post,
    ngx_http_atls_inner_t *inner);


/*
 * Either the client has lost its session, but not its cookie, or somebody else
 * has the cookie only.  The session is not changed.
 */

ngx_int_t
ngx_http_atls_begin_another(ngx_http_atls_post_t *post)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD unused, new session", post->label);

    ngx_http_atls_begin_release(post);

    return ngx_http_atls_begin_new_session(post);
}


ngx_int_t
ngx_http_atls_begin_new_session(ngx_http_atls_post_t *post)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_atls_main_conf_t  *amcf;

    r = post->request;
    amcf = post->main_conf;

    if (post->draining) {

        /*
         * The cookie refers to a session with the configuration of this
         * worker, which has been replaced.  A new session needs the current
         * one.
         */

        return NGX_HTTP_ATLS_SESSION_UNKNOWN;
    }

    if (ngx_http_atls_handshakes() >= amcf->max_handshakes) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls too many handshakes: %ui",
                      ngx_http_atls_handshakes());
        return NGX_HTTP_ATLS_TOO_MANY_HANDSHAKES;
    }

    post->session = ngx_http_atls_session_create(amcf, post->conf,
                                                 r->connection->log);
    if (post->session == NULL) {
        return NGX_HTTP_ATLS_ZONE_FULL;
    }

    ngx_memcpy(post->id, post->session->id, NGX_HTTP_ATLS_ID_LEN);
    post->tagged = 0;
    post->label = ngx_http_atls_label(post->id, r->connection->log);

    /* after this, errors remove the session */

    post->fresh = 1;
    post->home = post->conf;
    post->tracking = post->conf->tracking;
    post->stage = ngx_http_atls_post_handshake;

    if (post->dtls) {
        post->open = ngx_http_atls_begin_dtls_finished;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    rc = ngx_http_atls_handshake_create(amcf, r, post->session, post->dtls,
                                        clcf->error_log,
                                        ngx_http_atls_begin_expire,
                                        &post->handshake);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls client sent DTLS, which is not enabled");
        return NGX_HTTP_ATLS_NOT_TLS;
    }

    if (rc != NGX_OK) {
        return (rc == NGX_BUSY) ? NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS
                                : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_atls_handshake_attach(post->handshake, post);

    return NGX_OK;
}


/*
 * While early data are processed, the client waits, so the handshake timeout
 * is extended.
 */

static void
ngx_http_atls_begin_expire(ngx_http_atls_post_t *post,
    ngx_http_atls_inner_t *inner)
{
    ngx_uint_t         working;
    ngx_connection_t  *c;

    if (post == NULL) {
        ngx_http_atls_inner_abort(inner);
        return;
    }

    working = post->inner && !ngx_http_atls_inner_waiting(post->inner);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD handshake timer, working:%ui", post->label,
                   working);

    if (ngx_http_atls_handshake_prolong(post->handshake, post->session, working)
        == NGX_OK)
    {
        return;
    }

    c = post->request->connection;

    ngx_http_atls_finish_error(post, NGX_HTTP_ATLS_HANDSHAKE_TIMEOUT);
    ngx_http_run_posted_requests(c);
}
