
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_lifetime.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_sni.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_end.h"
#include "ngx_http_atls_inner_park.h"
#include "ngx_http_atls_begin.h"
#include "ngx_http_atls_finish.h"


/*
 * The part of a ClientHello that is checked: record header, message type,
 * length and version.
 */

#define NGX_HTTP_ATLS_CLIENT_HELLO  (TRL_HEADER_SIZE + 1 + 3 + 2)


typedef enum {
    ngx_http_atls_hello_no = 0,
    ngx_http_atls_hello_maybe,                 /* more bytes are needed */
    ngx_http_atls_hello_yes
} ngx_http_atls_hello_e;


static ngx_int_t ngx_http_atls_begin_half_open(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_peek_hello(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_e *hello);
static ngx_int_t ngx_http_atls_begin_pending(ngx_http_atls_post_t *post);
static ngx_http_atls_hello_e ngx_http_atls_begin_client_hello(u_char *data,
    size_t len);
static ngx_int_t ngx_http_atls_begin_unknown(ngx_http_atls_post_t *post,
    u_char *data, size_t len);
static ngx_uint_t ngx_http_atls_begin_goes_on(u_char *data, size_t len);
static ngx_int_t ngx_http_atls_begin_another(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_begin_new_session(ngx_http_atls_post_t *post);
static void ngx_http_atls_begin_expire(ngx_http_atls_post_t *post,
    ngx_http_atls_inner_t *inner);
static void ngx_http_atls_begin_session_target(ngx_http_atls_post_t *post);


ngx_int_t
ngx_http_atls_begin(ngx_http_atls_post_t *post)
{
    u_char                 *data;
    size_t                  len;
    ngx_int_t               rc;
    ngx_http_atls_hello_e   hello;

    if (post->handshake) {
        return ngx_http_atls_begin_half_open(post);
    }

    if (post->session && post->session->pending.len && !post->pending) {

        rc = ngx_http_atls_begin_peek_hello(post, &hello);
        if (rc != NGX_OK) {
            return rc;
        }

        if (hello == ngx_http_atls_hello_yes) {
            return ngx_http_atls_begin_another(post);
        }

        rc = ngx_http_atls_begin_pending(post);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_http_atls_body_peek(&post->body, NGX_HTTP_ATLS_CLIENT_HELLO,
                                 &data, &len);

    if (rc == NGX_DONE) {
        if (post->session) {
            return ngx_http_atls_begin_open(post);
        }

        rc = ngx_http_atls_begin_unknown(post, NULL, 0);

        if (rc == NGX_OK) {
            ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                          "atls client sent an empty body and no %s",
                          (post->conf->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)
                          ? "cookie" : "session");

            return NGX_HTTP_ATLS_EMPTY_BODY;
        }

        return rc;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    hello = ngx_http_atls_begin_client_hello(data, len);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD POST begin, ClientHello:%d", post->label,
                   (int) hello);

    if (post->session == NULL) {

        if (hello == ngx_http_atls_hello_no
            || (hello == ngx_http_atls_hello_maybe
                && post->take == ngx_http_atls_take_busy))
        {
            rc = ngx_http_atls_begin_unknown(post, data, len);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        return ngx_http_atls_begin_new_session(post);
    }

    if (hello != ngx_http_atls_hello_yes) {

        /* store the bytes until they can be recognized */

        post->ended = (hello == ngx_http_atls_hello_maybe);

        return ngx_http_atls_begin_open(post);
    }

    (void) ngx_http_atls_session_store(post->main_conf->zone,
                                       &post->session->pending, NULL, 0);

    return ngx_http_atls_begin_another(post);
}


/* While the handshake expects a ClientHello, it receives any input. */

static ngx_int_t
ngx_http_atls_begin_half_open(ngx_http_atls_post_t *post)
{
    ngx_int_t              rc;
    ngx_http_atls_hello_e  hello;

    if (ngx_http_atls_handshake_past_hello(post->handshake)) {

        rc = ngx_http_atls_begin_peek_hello(post, &hello);
        if (rc != NGX_OK) {
            return rc;
        }

        if (hello == ngx_http_atls_hello_yes) {
            return ngx_http_atls_begin_another(post);
        }
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
 * Checks whether the body starts with a ClientHello, although the session
 * expects other data.  Such data would need to have the same 11 bytes at the
 * start; shorter data belong to the session.
 */

static ngx_int_t
ngx_http_atls_begin_peek_hello(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_e *hello)
{
    u_char     *data;
    size_t      len;
    ngx_int_t   rc;

    rc = ngx_http_atls_body_peek(&post->body, 1, &data, &len);

    if (rc == NGX_OK && data[0] == TRL_HANDSHAKE) {
        rc = ngx_http_atls_body_peek(&post->body, NGX_HTTP_ATLS_CLIENT_HELLO,
                                     &data, &len);
    }

    if (rc != NGX_OK && rc != NGX_DONE) {
        return rc;
    }

    if (rc == NGX_DONE || len < NGX_HTTP_ATLS_CLIENT_HELLO
        || TRL_HEADER_SIZE + (size_t) (data[3] << 8) + data[4] < len)
    {
        *hello = ngx_http_atls_hello_no;

    } else {
        *hello = ngx_http_atls_begin_client_hello(data, len);
    }

    return NGX_OK;
}


/* Prepends the partial record of the previous POST. */

static ngx_int_t
ngx_http_atls_begin_pending(ngx_http_atls_post_t *post)
{
    u_char                   *pending;
    ngx_int_t                 rc;
    ngx_http_atls_session_t  *session;

    session = post->session;

    pending = ngx_pnalloc(post->request->pool, session->pending.len);
    if (pending == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_atls_session_load(&session->pending, pending);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD record continued, pending:%uD", post->label,
                   session->pending.len);

    rc = ngx_http_atls_body_prepend(&post->body, pending,
                                    session->pending.len);
    if (rc != NGX_OK) {
        return rc;
    }

    post->pending = 1;

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

    case ngx_http_atls_take_foreign:
        return NGX_HTTP_ATLS_SESSION_FOREIGN;

    case ngx_http_atls_take_unknown:
        return NGX_HTTP_ATLS_SESSION_UNKNOWN;

    default: /* ngx_http_atls_take_none */
        break;
    }

    if (len == 0 || !ngx_http_atls_begin_goes_on(data, len)) {
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
ngx_http_atls_begin_goes_on(u_char *data, size_t len)
{
    size_t  record;

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
    if (post->handshake) {
        ngx_http_atls_handshake_attach(post->handshake, NULL);
        post->handshake = NULL;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD unused, new session", post->label);

    ngx_http_atls_session_put(post->main_conf->zone, post->session);
    post->session = NULL;

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

    post->label = ngx_http_atls_label(post->session->id, r->connection->log);

    /* after this, errors remove the session */

    post->fresh = 1;
    post->home = post->conf;
    post->tracking = post->conf->tracking;
    post->stage = ngx_http_atls_post_handshake;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    rc = ngx_http_atls_handshake_create(amcf, r, post->session,
                                        clcf->error_log,
                                        ngx_http_atls_begin_expire,
                                        &post->handshake);
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


/* Sets the target by the server name of the session. */

static void
ngx_http_atls_begin_session_target(ngx_http_atls_post_t *post)
{
    ngx_str_t  name;

    name.len = post->session->sni_len;
    name.data = post->session->sni;

    ngx_http_atls_begin_target(post, &name);
}


void
ngx_http_atls_begin_target(ngx_http_atls_post_t *post, ngx_str_t *name)
{
    ngx_http_request_t  *r;

    r = post->request;

    ngx_http_atls_sni_target(r, post->home, &post->target);

    if (name->len) {
        ngx_http_atls_sni_select(&post->target, name, r->connection->log);
    }
}


/* Starts to use the state of an established session. */

ngx_int_t
ngx_http_atls_begin_open(ngx_http_atls_post_t *post)
{
    ngx_uint_t                last;
    ngx_http_atls_session_t  *session;

    session = post->session;

    ngx_http_atls_begin_session_target(post);

    last = !ngx_http_atls_identity_valid(session, post->target.tls);

    if (last) {
        session->reason = ngx_http_atls_ending_policy;
    }

    if (session->inner || post->inner) {

        /* a request in progress may be completed before the session ends */

        last |= session->end != ngx_http_atls_end_none
                || ngx_http_atls_lifetime_expired(session, post->home);

    } else if (last) {
        ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                      "atls session closed: the client must be verified again");

        return NGX_HTTP_ATLS_SESSION_REFUSED;

    } else if (ngx_http_atls_inner_reserve(post) != NGX_OK) {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD open, in:%uL, out:%uL, last:%ui", post->label,
                   session->state.read.seq, session->state.write.seq, last);

    if (trl_channel_init(&post->channel, &session->state) != TRL_OK) {
        ngx_ssl_error(NGX_LOG_ALERT, post->request->connection->log, 0,
                      "atls session cannot be opened");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    post->stage = ngx_http_atls_post_established;

    (void) ngx_http_atls_session_store(post->main_conf->zone,
                                       &session->pending, NULL, 0);

    ngx_http_atls_inner_resume(post);

    if (post->inner) {
        post->inner->early = 0;

        if (last) {
            ngx_http_atls_inner_last(post->inner);
        }

    } else if (session->end != ngx_http_atls_end_none) {
        post->end = session->end;
        post->ended = 1;
    }

    return NGX_OK;
}
