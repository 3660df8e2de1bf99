
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_inner_park.h"
#include "ngx_http_atls_begin.h"
#include "ngx_http_atls_begin_dtls.h"
#include "ngx_http_atls_begin_hello.h"
#include "ngx_http_atls_begin_new.h"
#include "ngx_http_atls_begin_take.h"
#include "ngx_http_atls_open.h"
#include "ngx_http_atls_outcome.h"
#include "ngx_http_atls_poll.h"
#include "ngx_http_atls_retry.h"


static ngx_int_t ngx_http_atls_begin_session(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_shared(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello);
static ngx_int_t ngx_http_atls_begin_lost(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_retry(ngx_http_atls_post_t *post);
static void ngx_http_atls_begin_wake(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_half_open(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello);
static ngx_int_t ngx_http_atls_begin_half_open_dtls(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello);
static ngx_int_t ngx_http_atls_begin_established(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello);
static ngx_int_t ngx_http_atls_begin_foreign(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_split_hello(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello);
static ngx_int_t ngx_http_atls_begin_empty(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_no_session(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello);
static ngx_int_t ngx_http_atls_begin_unknown(ngx_http_atls_post_t *post,
    u_char *data, size_t len);


/*
 * The session was taken, or found, by the header of the POST.  It is held only
 * while the POST is processed, which does not wait for the client here:
 * otherwise, anybody with the cookie could keep others from using it.
 */

ngx_int_t
ngx_http_atls_begin(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_begin_session(post);

    if (post->stage == ngx_http_atls_post_begins) {
        ngx_http_atls_begin_release(post);
    }

    return rc;
}


static ngx_int_t
ngx_http_atls_begin_session(ngx_http_atls_post_t *post)
{
    ngx_int_t              rc;
    ngx_http_atls_hello_t  hello;

    if (post->retry) {
        return ngx_http_atls_begin_retry(post);
    }

    rc = ngx_http_atls_begin_hello(post, &hello);

    if (rc == NGX_DONE) {
        return ngx_http_atls_begin_empty(post);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD POST begin, ClientHello:%d, take:%d",
                   post->label, (int) hello.found, (int) post->take);

    if (post->session == NULL
        && (post->take == ngx_http_atls_take_ok
            || (post->take == ngx_http_atls_take_busy
                && hello.found == ngx_http_atls_hello_no)))
    {
        rc = ngx_http_atls_begin_take(post);

        if (rc == NGX_AGAIN
            || (rc == NGX_BUSY
                && ngx_http_atls_begin_wait(post) == NGX_AGAIN))
        {
            return NGX_AGAIN;
        }

        if (rc != NGX_OK && post->dtls) {
            return ngx_http_atls_begin_lost(post);
        }

        if (rc == NGX_DECLINED) {
            ngx_http_atls_outcome_session(post->request, post->id);

            post->retry = 1;
            return ngx_http_atls_begin_retry(post);
        }
    }

    if (post->take == ngx_http_atls_take_shared) {
        return ngx_http_atls_begin_shared(post, &hello);
    }

    if (post->session == NULL) {
        return ngx_http_atls_begin_no_session(post, &hello);
    }

    return post->handshake ? ngx_http_atls_begin_half_open(post, &hello)
                           : ngx_http_atls_begin_established(post, &hello);
}


/* An established session with DTLS. */

static ngx_int_t
ngx_http_atls_begin_shared(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_begin_dtls_copy(post);

    if (rc != NGX_OK) {
        return (hello->found == ngx_http_atls_hello_yes)
               ? ngx_http_atls_begin_new_session(post) : rc;
    }

    if (hello->found == ngx_http_atls_hello_yes) {
        rc = post->dtls ? ngx_http_atls_begin_dtls_again(post) : NGX_DECLINED;

        if (rc == NGX_DECLINED) {
            post->session = NULL;
            return ngx_http_atls_begin_another(post);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_atls_begin_dtls_open(post);
    }

    if (rc != NGX_OK) {

        /* it is only a copy */

        post->session = NULL;

        if (rc == NGX_AGAIN) {
            post->take = ngx_http_atls_take_shared;
        }
    }

    return rc;
}


/*
 * With DTLS, what cannot be processed, or not now, is lost, as on a network.
 */

static ngx_int_t
ngx_http_atls_begin_lost(ngx_http_atls_post_t *post)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD body discarded in a handshake", post->label);

    return ngx_http_atls_body_discard(&post->body);
}


/*
 * The session may be in use again, or belong to another worker: it is not
 * needed to find its last response.
 */

static ngx_int_t
ngx_http_atls_begin_retry(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    ngx_http_atls_begin_release(post);

    rc = ngx_http_atls_retry(post);

    if (rc == NGX_BUSY) {
        ngx_http_atls_begin_wake(post);
        rc = ngx_http_atls_begin_wait(post);

        if (rc == NGX_OK) {
            post->take = ngx_http_atls_take_busy;
            rc = NGX_DECLINED;
        }
    }

    if (rc == NGX_ABORT) {

        /* finds out what became of the session */

        if (ngx_http_atls_begin_take(post) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        ngx_http_atls_begin_release(post);

        if (post->take != ngx_http_atls_take_ok) {
            return ngx_http_atls_begin_unknown(post, NULL, 0);
        }

        rc = NGX_DECLINED;
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    return post->take == ngx_http_atls_take_busy
           ? ngx_http_atls_begin_unknown(post, NULL, 0)
           : ngx_http_atls_begin_foreign(post);
}


/*
 * A poll that is sent again while it waits is lost for its client, which sends
 * no data before it has the response.  So the wait ends.
 */

static void
ngx_http_atls_begin_wake(ngx_http_atls_post_t *post)
{
    ngx_http_atls_owner_t      owner;
    ngx_http_atls_session_t   *session;
    ngx_http_atls_loc_conf_t  *home;

    home = post->conf;

    if (ngx_http_atls_session_take(post->main_conf->zone, post->id, &home,
                                   &session, &owner)
        != ngx_http_atls_take_ok)
    {
        return;
    }

    if (session->inner) {
        ngx_http_atls_inner_wake(session->inner);
    }

    ngx_http_atls_session_put(post->main_conf->zone, session, NULL);
}


/*
 * While the handshake expects a ClientHello, it receives any input.  A POST
 * that was sent at the same time as another one is not passed to it, since it
 * cannot tell whether it is the next one.
 */

static ngx_int_t
ngx_http_atls_begin_half_open(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello)
{
    ngx_int_t   rc;
    ngx_uint_t  past_hello;

    if (ngx_http_atls_handshake_dtls(post->handshake) || post->dtls) {
        return ngx_http_atls_begin_half_open_dtls(post, hello);
    }

    past_hello = ngx_http_atls_handshake_past_hello(post->handshake);

    /* two ClientHellos of a session may begin with the same bytes */

    if (past_hello || hello->found == ngx_http_atls_hello_no) {

        rc = ngx_http_atls_retry_flight(post);

        if (rc != NGX_DECLINED) {
            return (rc == NGX_OK) ? ngx_http_atls_begin_retry(post) : rc;
        }
    }

    if (past_hello && hello->whole && hello->found == ngx_http_atls_hello_yes) {
        return ngx_http_atls_begin_another(post);
    }

    if (post->waiting) {
        return NGX_HTTP_ATLS_SESSION_BUSY;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD handshake continued, inner:%p", post->label,
                   post->session->inner);

    /* handshakes cannot be moved to another worker, so it must finish here */

    post->draining = 0;

    post->stage = ngx_http_atls_post_handshake;
    ngx_http_atls_inner_resume(post);

    return NGX_OK;
}


/*
 * A ClientHello may be sent again, and POSTs may be sent at once: OpenSSL knows
 * the order of messages.
 */

static ngx_int_t
ngx_http_atls_begin_half_open_dtls(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello)
{
    ngx_int_t   rc;
    ngx_uint_t  other;

    other = (ngx_http_atls_handshake_dtls(post->handshake) != post->dtls);

    if (hello->found == ngx_http_atls_hello_yes) {
        rc = other ? NGX_DECLINED : ngx_http_atls_begin_dtls_again(post);

        if (rc == NGX_DECLINED) {
            return ngx_http_atls_begin_another(post);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (other) {
        return post->dtls ? ngx_http_atls_begin_foreign(post)
                          : ngx_http_atls_begin_lost(post);
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD handshake with DTLS continued", post->label);

    post->draining = 0;
    post->stage = ngx_http_atls_post_handshake;
    post->open = ngx_http_atls_begin_dtls_finished;

    return NGX_OK;
}


/*
 * In the middle of a record, a ClientHello is recognized by all of its bytes:
 * data of the session would need to have the same ones.
 */

static ngx_int_t
ngx_http_atls_begin_established(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello)
{
    ngx_int_t   rc;
    ngx_uint_t  another;

    another = (hello->found == ngx_http_atls_hello_yes);

    if (post->session->pending.len) {
        rc = ngx_http_atls_begin_split_hello(post, hello);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        another = (another && hello->whole);

    } else if (hello->found == ngx_http_atls_hello_maybe) {

        /* store the bytes until they can be recognized */

        return ngx_http_atls_open_store(post, hello->data, hello->len);
    }

    if (another) {
        return ngx_http_atls_begin_another(post);
    }

    rc = ngx_http_atls_open_first(post);

    if (rc != NGX_HTTP_ATLS_NOT_NEXT) {
        return rc;
    }

    return ngx_http_atls_retry_begins(post)
           ? ngx_http_atls_begin_retry(post)
           : ngx_http_atls_begin_foreign(post);
}


static ngx_int_t
ngx_http_atls_begin_foreign(ngx_http_atls_post_t *post)
{
    ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                  "atls POST is not the next one of its session");

    ngx_http_atls_body_explain(post->request);

    return NGX_HTTP_ATLS_NOT_NEXT;
}


/*
 * Whether the stored part of a record is the start of a ClientHello, and the
 * body continues it.  NGX_DECLINED: it is not.
 */

static ngx_int_t
ngx_http_atls_begin_split_hello(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello)
{
    size_t                   len;
    u_char                  *data;
    ngx_int_t                rc;
    ngx_http_atls_hello_e    found;
    ngx_http_atls_session_t  *session;
    u_char                   start[2 * NGX_HTTP_ATLS_CLIENT_HELLO];

    session = post->session;

    if (session->pending.len >= NGX_HTTP_ATLS_CLIENT_HELLO) {
        return NGX_DECLINED;
    }

    ngx_http_atls_session_load(&session->pending, start);

    if (ngx_http_atls_begin_client_hello(start, session->pending.len)
        != ngx_http_atls_hello_maybe)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_atls_body_peek(&post->body,
                                 NGX_HTTP_ATLS_CLIENT_HELLO
                                 - session->pending.len, &data, &len);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memcpy(start + session->pending.len, data, len);
    len += session->pending.len;

    found = ngx_http_atls_begin_client_hello(start, len);

    if (found == ngx_http_atls_hello_no) {
        return NGX_DECLINED;
    }

    if (found == ngx_http_atls_hello_maybe) {
        return ngx_http_atls_open_store(post, start, len);
    }

    rc = ngx_http_atls_body_prepend(&post->body, start, session->pending.len);
    if (rc != NGX_OK) {
        return rc;
    }

    (void) ngx_http_atls_session_store(post->main_conf->zone, session,
                                       &session->pending, NULL, 0);

    return ngx_http_atls_begin_another(post);
}


/*
 * The sender of an empty body is not authenticated, so it gets no data, which
 * would be missing in the response to the client's next POST.  If the session
 * has ended, only its alert is left.  In a tunnel, some clients have no other
 * way to poll.
 */

static ngx_int_t
ngx_http_atls_begin_empty(ngx_http_atls_post_t *post)
{
    ngx_int_t                 rc;
    ngx_uint_t                opens;
    ngx_http_atls_hello_t     hello;
    ngx_http_atls_session_t  *session;

    if (post->session == NULL && post->take == ngx_http_atls_take_ok
        && ngx_http_atls_begin_take(post) == NGX_AGAIN)
    {
        return NGX_AGAIN;
    }

    session = post->session;

    if (post->take == ngx_http_atls_take_shared) {
        return NGX_DONE;
    }

    if (session == NULL) {
        ngx_memzero(&hello, sizeof(ngx_http_atls_hello_t));
        return ngx_http_atls_begin_no_session(post, &hello);
    }

    if (!session->established) {
        return NGX_DONE;
    }

    if (session->inner) {
        opens = ngx_http_atls_poll_is_empty(session->inner);

    } else {
        opens = (session->end != ngx_http_atls_end_none
                 && !session->overtaken);
        session->overtaken = 0;
    }

    if (opens) {
        post->apart = 1;

        return ngx_http_atls_open(post);
    }

    rc = ngx_http_atls_open_check(post);

    return rc == NGX_OK ? NGX_DONE : rc;
}


static ngx_int_t
ngx_http_atls_begin_no_session(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello)
{
    ngx_int_t  rc;

    if (hello->found == ngx_http_atls_hello_yes
        || (hello->found == ngx_http_atls_hello_maybe
            && post->take != ngx_http_atls_take_busy))
    {
        return ngx_http_atls_begin_new_session(post);
    }

    rc = ngx_http_atls_begin_unknown(post, hello->data, hello->len);

    if (rc != NGX_OK) {
        return rc;
    }

    if (hello->len == 0) {
        ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                      "atls client sent an empty body and no %s",
                      (post->conf->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)
                      ? "cookie" : "session");

        return NGX_HTTP_ATLS_EMPTY_BODY;
    }

    return ngx_http_atls_begin_new_session(post);
}


/* NGX_OK: the client has not referred to any session. */

static ngx_int_t
ngx_http_atls_begin_unknown(ngx_http_atls_post_t *post, u_char *data,
    size_t len)
{
    ngx_log_t  *log;

    log = post->request->connection->log;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0, "atls no session: %d",
                   (int) post->take);

    switch (post->take) {

    case ngx_http_atls_take_busy:
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls client sent two POSTs of a session at once");

        return NGX_HTTP_ATLS_SESSION_BUSY;

    case ngx_http_atls_take_elsewhere:
        return NGX_HTTP_ATLS_SESSION_ELSEWHERE;

    case ngx_http_atls_take_lost:
        return NGX_HTTP_ATLS_SESSION_LOST;

    case ngx_http_atls_take_unreachable:
        return NGX_HTTP_ATLS_STORE_UNREACHABLE;

    case ngx_http_atls_take_foreign:
        return NGX_HTTP_ATLS_SESSION_FOREIGN;

    case ngx_http_atls_take_unknown:
        return NGX_HTTP_ATLS_SESSION_UNKNOWN;

    default: /* ngx_http_atls_take_none */
        break;
    }

    if (len == 0 || !ngx_http_atls_begin_goes_on(post, data, len)) {
        return NGX_OK;
    }

    if (post->conf->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE) {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls client sent records of a session without its "
                      "cookie");

        return NGX_HTTP_ATLS_NO_COOKIE;
    }

    ngx_log_error(NGX_LOG_INFO, log, 0,
                  "atls client sent records of a session, but not to its URI");

    return NGX_HTTP_ATLS_NO_LOCATION;
}
