
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_park.h"
#include "ngx_http_atls_begin.h"
#include "ngx_http_atls_begin_dtls.h"
#include "ngx_http_atls_finish.h"
#include "ngx_http_atls_open.h"
#include "ngx_http_atls_outcome.h"
#include "ngx_http_atls_poll.h"
#include "ngx_http_atls_retry.h"


/*
 * The part of a ClientHello that is checked: record header, message type,
 * length and version.
 */

#define NGX_HTTP_ATLS_CLIENT_HELLO  (TRL_HEADER_SIZE + 1 + 3 + 2)

/* Pauses between two looks at a busy session, in milliseconds. */

#define NGX_HTTP_ATLS_MIN_PAUSE     5
#define NGX_HTTP_ATLS_MAX_PAUSE     500


typedef enum {
    ngx_http_atls_hello_no = 0,
    ngx_http_atls_hello_maybe,                 /* more bytes are needed */
    ngx_http_atls_hello_yes
} ngx_http_atls_hello_e;


/* The beginning of the body. */

typedef struct {
    ngx_http_atls_hello_e   found;
    ngx_uint_t              whole;             /* all bytes are checked */
    u_char                 *data;
    size_t                  len;
} ngx_http_atls_hello_t;


static ngx_int_t ngx_http_atls_begin_session(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_shared(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello);
static ngx_int_t ngx_http_atls_begin_lost(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_retry(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_hello(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello);
static ngx_http_atls_hello_e ngx_http_atls_begin_client_hello(u_char *data,
    size_t len);
static ngx_int_t ngx_http_atls_begin_take(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_ask(ngx_http_atls_post_t *post);
static void ngx_http_atls_begin_asked(ngx_http_atls_taking_t *taking);
static ngx_int_t ngx_http_atls_begin_wait(ngx_http_atls_post_t *post);
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
static ngx_uint_t ngx_http_atls_begin_goes_on(ngx_http_atls_post_t *post,
    u_char *data, size_t len);
static ngx_int_t ngx_http_atls_begin_another(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_new_session(ngx_http_atls_post_t *post);
static void ngx_http_atls_begin_release(ngx_http_atls_post_t *post);
static void ngx_http_atls_begin_expire(ngx_http_atls_post_t *post,
    ngx_http_atls_inner_t *inner);


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
 * NGX_OK: as many bytes as required, or the whole body; NGX_DONE: none.  The
 * first bytes are awaited, since they are a part of the fingerprint.
 */

static ngx_int_t
ngx_http_atls_begin_hello(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_body_peek(&post->body,
                                 ngx_max(post->want, NGX_HTTP_ATLS_PRINT_LEN),
                                 &hello->data, &hello->len);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_atls_retry_first(post, hello->data, hello->len);

    post->dtls = ngx_http_atls_begin_dtls(post, hello->data, hello->len);

    if (post->dtls) {
        hello->whole = ngx_http_atls_begin_dtls_hello(hello->data, hello->len);
        hello->found = hello->whole ? ngx_http_atls_hello_yes
                                    : ngx_http_atls_hello_no;
        return NGX_OK;
    }

    hello->len = ngx_min(hello->len, NGX_HTTP_ATLS_CLIENT_HELLO);
    hello->found = ngx_http_atls_begin_client_hello(hello->data, hello->len);

    hello->whole = (hello->len == NGX_HTTP_ATLS_CLIENT_HELLO
                    && TRL_HEADER_SIZE + (size_t) (hello->data[3] << 8)
                       + hello->data[4] >= NGX_HTTP_ATLS_CLIENT_HELLO);

    return NGX_OK;
}


/*
 * Distinguishes a ClientHello from a record of the session.
 *
 * TLS 1.3 sessions have no records of this type.  In TLS 1.2, a record of this
 * type is a renegotiation attempt, and its contents look random: the
 * probability that the type, length and version of a message match is 2^-29,
 * and less if the explicit nonce is a counter.  If the record is too short for
 * them, it is too short for an encrypted record, too.
 */

static ngx_http_atls_hello_e
ngx_http_atls_begin_client_hello(u_char *data, size_t len)
{
    size_t  record, message;

    if (data[0] != TRL_HANDSHAKE || (len > 1 && data[1] != 3)) {
        return ngx_http_atls_hello_no;
    }

    if (len < TRL_HEADER_SIZE) {
        return ngx_http_atls_hello_maybe;
    }

    record = (data[3] << 8) + data[4];

    if (record == 0 || record > TRL_MAX_PLAINTEXT
        || (len > 5 && data[5] != TRL_CLIENT_HELLO))
    {
        return ngx_http_atls_hello_no;
    }

    if (TRL_HEADER_SIZE + record < NGX_HTTP_ATLS_CLIENT_HELLO) {
        return (len < TRL_HEADER_SIZE + record) ? ngx_http_atls_hello_maybe
                                                : ngx_http_atls_hello_yes;
    }

    if (len > 8) {
        message = (data[6] << 16) + (data[7] << 8) + data[8];

        /* it may be fragmented, but no other message may follow */

        if (message > TRL_MAX_CLIENT_HELLO || message + 4 < record) {
            return ngx_http_atls_hello_no;
        }
    }

    if ((len > 9 && data[9] != 3) || (len > 10 && data[10] > 4)) {
        return ngx_http_atls_hello_no;
    }

    return (len < NGX_HTTP_ATLS_CLIENT_HELLO) ? ngx_http_atls_hello_maybe
                                              : ngx_http_atls_hello_yes;
}


/*
 * Takes the session again, if it exists.  NGX_BUSY: it may become free;
 * NGX_DECLINED: it belongs to another worker; NGX_AGAIN: the store is asked.
 */

static ngx_int_t
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

static ngx_int_t
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
    ngx_uint_t                polls;
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

    polls = session->inner && ngx_http_atls_poll_is_empty(session->inner);

    if (polls || (session->inner == NULL
                  && session->end != ngx_http_atls_end_none))
    {
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


/*
 * Whether data without a session are TLS records of an existing one: the
 * client has lost the cookie, or the cookie was renamed by a reload.
 */

static ngx_uint_t
ngx_http_atls_begin_goes_on(ngx_http_atls_post_t *post, u_char *data,
    size_t len)
{
    size_t  record;

    if (post->dtls) {
        return !ngx_http_atls_begin_dtls_hello(data, len);
    }

    if (len > 1 && data[1] != 3) {
        return 0;
    }

    switch (data[0]) {

    case TRL_CHANGE_CIPHER_SPEC:
    case TRL_ALERT:
    case TRL_APPLICATION_DATA:
        return 1;

    case TRL_HANDSHAKE:

        if (len <= TRL_HEADER_SIZE) {
            return 0;
        }

        record = (data[3] << 8) + data[4];

        return record && record <= TRL_MAX_PLAINTEXT
               && data[5] != TRL_CLIENT_HELLO;

    default:
        return 0;
    }
}


/*
 * Either the client has lost its session, but not its cookie, or somebody else
 * has the cookie only.  The session is not changed.
 */

static ngx_int_t
ngx_http_atls_begin_another(ngx_http_atls_post_t *post)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD unused, new session", post->label);

    ngx_http_atls_begin_release(post);

    return ngx_http_atls_begin_new_session(post);
}


static ngx_int_t
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


/* Puts the session back, unchanged. */

static void
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
