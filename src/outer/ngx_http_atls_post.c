
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "atls_channel.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_sni.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_post.h"
#include "ngx_http_atls_relayed.h"


/*
 * The start of a ClientHello: a record's header, the message's type, length and
 * version.
 */

#define NGX_HTTP_ATLS_CLIENT_HELLO  (ATLS_HEADER_SIZE + 1 + 3 + 2)


static void ngx_http_atls_post_read(ngx_http_request_t *r);
static ngx_uint_t ngx_http_atls_post_half_closed(ngx_http_request_t *r);
static void ngx_http_atls_post_write(ngx_http_request_t *r);
static void ngx_http_atls_post_event(ngx_event_t *ev);
static void ngx_http_atls_post_run(ngx_http_atls_post_t *post);

static ngx_int_t ngx_http_atls_post_begin(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_half_open(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_anew(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_pending(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_client_hello(u_char *data, size_t len);
static ngx_int_t ngx_http_atls_post_unknown(ngx_http_atls_post_t *post,
    u_char *data, size_t len);
static ngx_uint_t ngx_http_atls_post_goes_on(u_char *data, size_t len);
static ngx_int_t ngx_http_atls_post_another(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_new_session(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_expire(ngx_http_atls_post_t *post,
    ngx_http_atls_inner_t *inner);
static void ngx_http_atls_post_target(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_open(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_resume(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_serve(ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_post_overstays(ngx_http_atls_post_t *post,
    ngx_int_t rc);

static void ngx_http_atls_post_send(ngx_http_atls_post_t *post);

static void ngx_http_atls_post_finish(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_last_record(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_give_back(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_headers(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_post_cookie(ngx_http_atls_post_t *post,
    ngx_uint_t expired);
static ngx_uint_t ngx_http_atls_post_expires(ngx_http_atls_post_t *post,
    ngx_int_t status);
static ngx_uint_t ngx_http_atls_post_cut_short(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_abort_inner(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_drop_session(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_release(ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_post_unused(ngx_http_atls_post_t *post);
static void ngx_http_atls_post_cleanup(void *data);


ngx_http_atls_post_t *
ngx_http_atls_post_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t    *cln;
    ngx_http_atls_post_t  *post;

    post = ngx_pcalloc(r->pool, sizeof(ngx_http_atls_post_t));
    if (post == NULL) {
        return NULL;
    }

    post->request = r;
    post->main_conf = ngx_http_get_module_main_conf(r, ngx_http_atls_module);
    post->conf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    post->late = (ngx_exiting || ngx_terminate)
                 && ngx_http_atls_relayed(r->connection);

    post->body.request = r;
    ngx_http_atls_answer_init(&post->answer, r, post->conf->buffer_size);

    /* RFC 9110, section 13: conditions would be about records */

    r->disable_not_modified = 1;

    post->event.data = post;
    post->event.handler = ngx_http_atls_post_event;
    post->event.log = r->connection->log;

    post->open = ngx_http_atls_post_open;
    post->headers = ngx_http_atls_post_headers;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_atls_post_cleanup;
    cln->data = post;

    ngx_http_set_ctx(r, post, ngx_http_atls_module);

    return post;
}


void
ngx_http_atls_post_start(ngx_http_request_t *r)
{
    ngx_http_atls_post_t  *post;

    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);

    r->read_event_handler = ngx_http_atls_post_read;
    r->write_event_handler = ngx_http_atls_post_write;

    if (!r->reading_body) {
        ngx_http_atls_body_ended(r);
    }

    ngx_http_atls_post_run(post);
}


static void
ngx_http_atls_post_read(ngx_http_request_t *r)
{
    ngx_event_t           *rev;
    ngx_http_atls_post_t  *post;

    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);
    rev = r->connection->read;

    if (!r->reading_body || r->connection->error) {

        if (post->inner && ngx_http_atls_post_half_closed(r)) {

            /* if there is room, it is something else that it waits for */

            if (!post->blocked) {
                ngx_http_atls_inner_half_closed(post->inner);
            }

            return;
        }

        ngx_http_test_reading(r);
        return;
    }

    if (post->inner == NULL) {
        ngx_http_atls_post_run(post);
        return;
    }

    if (post->plain_len || post->body.pos < post->body.last) {

        /* there is data that nobody has taken yet: not the client's fault */

        rev->timedout = 0;
        return;
    }

    /* so that the end of the body, or of the client, does not go unnoticed */

    if (ngx_http_atls_body_fill(&post->body) == NGX_ERROR) {
        ngx_http_atls_post_fail(post, post->body.status);
        return;
    }

    ngx_http_atls_inner_readable(post->inner);
}


/*
 * Has the client closed its side of the connection, and nothing else?  It may
 * have left, or wait for the answer: core answers requests which it does not
 * have to wait for, and so does the inner connection.
 */

static ngx_uint_t
ngx_http_atls_post_half_closed(ngx_http_request_t *r)
{
#if (NGX_HAVE_EPOLLRDHUP)

    socklen_t          len;
    ngx_err_t          err;
    ngx_connection_t  *c;

    c = r->connection;

    if (c->error || !c->read->pending_eof || !ngx_use_epoll_rdhup
        || ngx_http_atls_is_stream(r))
    {
        return 0;
    }

    err = 0;
    len = sizeof(ngx_err_t);

    return getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == 0
           && err == 0;

#else

    return 0;

#endif
}


static void
ngx_http_atls_post_write(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_atls_post_t      *post;
    ngx_http_core_loc_conf_t  *clcf;

    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);
    wev = r->connection->write;

    if (!post->answer.started) {
        return;
    }

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;

        ngx_http_atls_post_fail(post, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed || r->aio) {

        if (!wev->delayed) {
            clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
            ngx_add_timer(wev, clcf->send_timeout);
        }

        if (ngx_handle_write_event(wev, 0) != NGX_OK) {
            ngx_http_atls_post_fail(post, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        return;
    }

    ngx_http_atls_post_send(post);
}


/*
 * Posted by what happens to the inner connection: it has sealed something,
 * which goes out now unless it is all and can go out in one piece; or it has
 * closed.
 */

static void
ngx_http_atls_post_event(ngx_event_t *ev)
{
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_atls_post_t  *post;

    post = ev->data;
    r = post->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (post->inner == NULL) {
        ngx_http_atls_post_run(post);

    } else if (post->parking && !post->blocked) {
        ngx_http_atls_post_finish(post);

    } else {
        ngx_http_atls_post_send(post);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_atls_post_run(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    for ( ;; ) {

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls post stage:%d, inner:%p",
                       (int) post->stage, post->inner);

        switch (post->stage) {

        case ngx_http_atls_post_begins:
            rc = ngx_http_atls_post_begin(post);
            break;

        case ngx_http_atls_post_handshake:
        case ngx_http_atls_post_established:
            rc = ngx_http_atls_post_serve(post);
            break;

        default: /* ngx_http_atls_post_done */
            return;
        }

        if (rc == NGX_OK) {
            continue;
        }

        if (rc == NGX_AGAIN) {

            if (post->unsent) {
                post->unsent = 0;
                ngx_http_atls_post_send(post);
            }

            return;
        }

        if (rc == NGX_DONE) {
            ngx_http_atls_post_finish(post);
            return;
        }

        ngx_http_atls_post_fail(post,
                                rc == NGX_ERROR ? post->body.status : rc);
        return;
    }
}


/*
 * The stages' functions return NGX_OK to go on with another stage, NGX_AGAIN
 * to wait, NGX_DONE when the response can be ended, NGX_ERROR when the body
 * can't be read, or a status.
 */

static ngx_int_t
ngx_http_atls_post_begin(ngx_http_atls_post_t *post)
{
    u_char     *data;
    size_t      len;
    ngx_int_t   rc;

    if (post->handshake) {
        return ngx_http_atls_post_half_open(post);
    }

    if (post->session && post->session->pending.len && !post->pending) {

        rc = ngx_http_atls_post_anew(post);
        if (rc != NGX_DECLINED) {
            return rc == NGX_OK ? ngx_http_atls_post_another(post) : rc;
        }

        if (ngx_http_atls_post_pending(post) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    rc = ngx_http_atls_body_peek(&post->body, NGX_HTTP_ATLS_CLIENT_HELLO,
                                 &data, &len);

    if (rc == NGX_DONE) {
        if (post->session) {
            return ngx_http_atls_post_open(post);
        }

        rc = ngx_http_atls_post_unknown(post, NULL, 0);

        return rc == NGX_OK ? NGX_HTTP_ATLS_EMPTY_BODY : rc;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_atls_post_client_hello(data, len);

    if (post->session == NULL) {

        if (rc == NGX_DECLINED || (rc == NGX_AGAIN && post->busy)) {

            rc = ngx_http_atls_post_unknown(post, data, len);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        return ngx_http_atls_post_new_session(post);
    }

    if (rc != NGX_OK) {

        /* what may become a ClientHello is kept until it is known */

        post->ended = (rc == NGX_AGAIN);

        return ngx_http_atls_post_open(post);
    }

    (void) ngx_http_atls_session_keep(post->main_conf->zone,
                                      &post->session->pending, NULL, 0);

    return ngx_http_atls_post_another(post);
}


/* Whatever comes is the handshake's, as long as it waits for a ClientHello. */

static ngx_int_t
ngx_http_atls_post_half_open(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    if (ngx_http_atls_handshake_past_hello(post->handshake)) {

        rc = ngx_http_atls_post_anew(post);
        if (rc != NGX_DECLINED) {
            return rc == NGX_OK ? ngx_http_atls_post_another(post) : rc;
        }
    }

    /* this worker has the session, and cannot pass it on before the end */

    post->late = 0;

    post->stage = ngx_http_atls_post_handshake;
    ngx_http_atls_post_resume(post);

    return NGX_OK;
}


/*
 * Does the body begin with a ClientHello, although the session is in the middle
 * of something?  What that goes on with does not look like one: it would have
 * to have eleven bytes in common with it.  What is shorter goes on with it.
 */

static ngx_int_t
ngx_http_atls_post_anew(ngx_http_atls_post_t *post)
{
    u_char     *data;
    size_t      len;
    ngx_int_t   rc;

    rc = ngx_http_atls_body_peek(&post->body, 1, &data, &len);

    if (rc == NGX_OK && data[0] == ATLS_HANDSHAKE) {
        rc = ngx_http_atls_body_peek(&post->body, NGX_HTTP_ATLS_CLIENT_HELLO,
                                     &data, &len);
    }

    if (rc == NGX_AGAIN || rc == NGX_ERROR) {
        return rc;
    }

    if (rc == NGX_DONE || len < NGX_HTTP_ATLS_CLIENT_HELLO
        || ATLS_HEADER_SIZE + (size_t) (data[3] << 8) + data[4] < len)
    {
        return NGX_DECLINED;
    }

    return ngx_http_atls_post_client_hello(data, len);
}


/* What the last POST has left of a record comes first. */

static ngx_int_t
ngx_http_atls_post_pending(ngx_http_atls_post_t *post)
{
    u_char                   *pending;
    ngx_http_atls_session_t  *session;

    session = post->session;

    pending = ngx_pnalloc(post->request->pool, session->pending.len);
    if (pending == NULL) {
        return NGX_ERROR;
    }

    ngx_http_atls_session_kept(&session->pending, pending);

    if (ngx_http_atls_body_prepend(&post->body, pending, session->pending.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    post->pending = 1;

    return NGX_OK;
}


/*
 * Does a ClientHello begin here, and not a record of the session's?  NGX_AGAIN:
 * there are too few bytes to know.
 *
 * In TLS 1.3, a session has no records of this type.  In TLS 1.2 it may, of a
 * client that wants to renegotiate, and what is in them may look like anything:
 * that the type, the length and the version of a message should fit happens
 * once in 2^29, and less often in a client that counts its nonces.  A record
 * that is too short for all of them can't be a protected one.
 */

static ngx_int_t
ngx_http_atls_post_client_hello(u_char *data, size_t len)
{
    size_t  record, message;

    if (data[0] != ATLS_HANDSHAKE || (len > 1 && data[1] != 3)) {
        return NGX_DECLINED;
    }

    if (len < ATLS_HEADER_SIZE) {
        return NGX_AGAIN;
    }

    record = (data[3] << 8) + data[4];

    if (record == 0 || record > ATLS_MAX_PLAINTEXT
        || (len > 5 && data[5] != ATLS_CLIENT_HELLO))
    {
        return NGX_DECLINED;
    }

    if (ATLS_HEADER_SIZE + record < NGX_HTTP_ATLS_CLIENT_HELLO) {
        return (len < ATLS_HEADER_SIZE + record) ? NGX_AGAIN : NGX_OK;
    }

    if (len > 8) {
        message = (data[6] << 16) + (data[7] << 8) + data[8];

        /* maybe fragmented, but nothing comes behind it */

        if (message > ATLS_MAX_CLIENT_HELLO || message + 4 < record) {
            return NGX_DECLINED;
        }
    }

    if ((len > 9 && data[9] != 3) || (len > 10 && data[10] > 4)) {
        return NGX_DECLINED;
    }

    return (len < NGX_HTTP_ATLS_CLIENT_HELLO) ? NGX_AGAIN : NGX_OK;
}


/* NGX_OK: the client has not named a session, nor sent a part of one. */

static ngx_int_t
ngx_http_atls_post_unknown(ngx_http_atls_post_t *post, u_char *data,
    size_t len)
{
    if (post->busy) {
        return NGX_HTTP_ATLS_SESSION_BUSY;
    }

    if (post->elsewhere) {
        return NGX_HTTP_ATLS_SESSION_ELSEWHERE;
    }

    if (post->cookie || (len && ngx_http_atls_post_goes_on(data, len))) {
        return NGX_HTTP_ATLS_SESSION_UNKNOWN;
    }

    return NGX_OK;
}


/*
 * What begins no session: is it TLS of one that goes on?  Its client has lost
 * the cookie, or sends one that had another name before a reload.
 */

static ngx_uint_t
ngx_http_atls_post_goes_on(u_char *data, size_t len)
{
    size_t  record;

    if (len > 1 && data[1] != 3) {
        return 0;
    }

    switch (data[0]) {

    case ATLS_CHANGE_CIPHER_SPEC:
    case ATLS_ALERT:
    case ATLS_APPLICATION_DATA:
        return 1;

    case ATLS_HANDSHAKE:

        if (len <= ATLS_HEADER_SIZE) {
            return 0;
        }

        record = (data[3] << 8) + data[4];

        return record && record <= ATLS_MAX_PLAINTEXT
               && data[5] != ATLS_CLIENT_HELLO;

    default:
        return 0;
    }
}


/*
 * A client that has lost its session, but not its cookie; or somebody who has
 * no more of the session than that: it is left as it is.
 */

static ngx_int_t
ngx_http_atls_post_another(ngx_http_atls_post_t *post)
{
    if (post->handshake) {
        ngx_http_atls_handshake_attach(post->handshake, NULL);
        post->handshake = NULL;
    }

    ngx_http_atls_session_put(post->main_conf->zone, post->session);
    post->session = NULL;

    return ngx_http_atls_post_new_session(post);
}


static ngx_int_t
ngx_http_atls_post_new_session(ngx_http_atls_post_t *post)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_atls_main_conf_t  *amcf;

    r = post->request;
    amcf = post->main_conf;

    if (post->late) {

        /*
         * The configuration that it would begin with has been replaced, and it
         * is the cookie that has brought it here.
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

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls session made: %p", post->session);

    /* from here on a failure removes the session */

    post->fresh = 1;
    post->stage = ngx_http_atls_post_handshake;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    rc = ngx_http_atls_handshake_create(amcf, r, post->session,
                                        clcf->error_log,
                                        ngx_http_atls_post_expire,
                                        &post->handshake);
    if (rc != NGX_OK) {
        return (rc == NGX_BUSY) ? NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS
                                : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_atls_handshake_attach(post->handshake, post);

    return NGX_OK;
}


/* Early data is answered, and the client can but wait: it gets more time. */

static void
ngx_http_atls_post_expire(ngx_http_atls_post_t *post,
    ngx_http_atls_inner_t *inner)
{
    ngx_uint_t         working;
    ngx_connection_t  *c;

    if (post == NULL) {
        ngx_http_atls_inner_abort(inner);
        return;
    }

    working = post->inner && !ngx_http_atls_inner_waiting(post->inner);

    if (ngx_http_atls_handshake_prolong(post->handshake, post->session, working)
        == NGX_OK)
    {
        return;
    }

    c = post->request->connection;

    if (post->stage == ngx_http_atls_post_begins) {

        /* it is not to be given back */

        post->stage = ngx_http_atls_post_handshake;
        ngx_http_atls_post_resume(post);
    }

    ngx_http_atls_post_fail(post, NGX_HTTP_ATLS_HANDSHAKE_TIMEOUT);
    ngx_http_run_posted_requests(c);
}


/* What the session's client has asked for. */

static void
ngx_http_atls_post_target(ngx_http_atls_post_t *post)
{
    ngx_str_t  name;

    name.len = post->session->sni_len;
    name.data = post->session->sni;

    ngx_http_atls_post_find_target(post, &name);
}


void
ngx_http_atls_post_find_target(ngx_http_atls_post_t *post, ngx_str_t *name)
{
    ngx_http_request_t  *r;

    r = post->request;

    ngx_http_atls_sni_target(r, &post->target);

    if (name->len) {
        ngx_http_atls_sni_select(&post->target,
                                 r->http_connection->addr_conf->virtual_names,
                                 name, r->connection->log);
    }
}


/* The session is an established one: begins to use its state. */

static ngx_int_t
ngx_http_atls_post_open(ngx_http_atls_post_t *post)
{
    ngx_uint_t                last;
    ngx_http_atls_session_t  *session;

    session = post->session;

    ngx_http_atls_post_target(post);

    last = !ngx_http_atls_identity_valid(session, post->target.tls);

    if (session->inner || post->inner) {

        /* a request that is in progress may end, its session then does */

        last |= session->closing
                || ngx_http_atls_session_expired(session, post->conf);

    } else if (last) {
        ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                      "atls session ends, as its client has to be verified "
                      "again");

        ngx_http_atls_session_remove(post->main_conf->zone, session);
        post->session = NULL;

        return NGX_HTTP_ATLS_SESSION_REFUSED;

    } else if (ngx_http_atls_inner_reserve(post) != NGX_OK) {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    if (atls_channel_init(&post->channel, &session->state) != ATLS_OK) {
        ngx_ssl_error(NGX_LOG_ALERT, post->request->connection->log, 0,
                      "atls session can't be opened");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    post->stage = ngx_http_atls_post_established;

    (void) ngx_http_atls_session_keep(post->main_conf->zone,
                                      &session->pending, NULL, 0);

    ngx_http_atls_post_resume(post);

    if (post->inner) {
        post->inner->early = 0;

        if (last) {
            ngx_http_atls_inner_last(post->inner);
        }

    } else if (session->closing) {
        post->closing = 1;
        post->cut = session->cut;
        post->ended = 1;
    }

    return NGX_OK;
}


/* An inner request that waits in this worker goes on. */

static void
ngx_http_atls_post_resume(ngx_http_atls_post_t *post)
{
    if (post->session->inner) {
        post->inner = post->session->inner;
        post->session->inner = NULL;

        ngx_http_atls_inner_resume(post->inner, post);
    }
}


/* Is there something for an inner connection, if there is none yet? */

static ngx_int_t
ngx_http_atls_post_serve(ngx_http_atls_post_t *post)
{
    u_char     *data;
    size_t      len;
    ngx_int_t   rc;

    if (post->inner) {
        return NGX_AGAIN;
    }

    if (post->answer.error) {
        return NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }

    if (post->body.status && !post->failed) {
        return NGX_ERROR;
    }

    /* what is left of a handshake is needed also by a session that ends */

    if (post->closing
        || (post->bad_gateway && post->stage == ngx_http_atls_post_established))
    {
        return NGX_DONE;
    }

    rc = ngx_http_atls_stream_plaintext(post, &data, &len);

    if (rc == NGX_ERROR) {
        return post->refused ? NGX_DONE : NGX_ERROR;
    }

    if (ngx_http_atls_post_overstays(post, rc)) {
        post->closing = 1;
        return NGX_DONE;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_atls_inner_create(post) != NGX_OK) {
        post->closing = 1;
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    return NGX_AGAIN;
}


/*
 * Between requests, a worker that is told to quit waits for the rest of a POST
 * of known length only, and not for longer than for a part of it: else its
 * client could go on for as long as it likes.
 */

static ngx_uint_t
ngx_http_atls_post_overstays(ngx_http_atls_post_t *post, ngx_int_t rc)
{
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    if (!(ngx_exiting || ngx_terminate)
        || post->stage != ngx_http_atls_post_established || !post->taken
        || rc == NGX_DONE)
    {
        return 0;
    }

    r = post->request;

    if (!post->leaving) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        post->leave = ngx_current_msec + clcf->client_body_timeout;
        post->leaving = 1;
    }

    if ((ngx_msec_int_t) (ngx_current_msec - post->leave) >= 0) {
        return 1;
    }

    return rc == NGX_AGAIN && r->headers_in.content_length_n == -1;
}


static void
ngx_http_atls_post_send(ngx_http_atls_post_t *post)
{
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = post->request;
    wev = r->connection->write;

    rc = ngx_http_atls_stream_flush(post);

    if (rc == NGX_ERROR) {
        ngx_http_atls_post_fail(post, NGX_ERROR);
        return;
    }

    if (rc == NGX_AGAIN) {

        if (!wev->delayed) {
            clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
            ngx_add_timer(wev, clcf->send_timeout);
        }

        if (ngx_handle_write_event(wev, 0) != NGX_OK) {
            ngx_http_atls_post_fail(post, NGX_ERROR);
            return;
        }

    } else if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    /* buffers are free again, some or all */

    if (post->blocked && post->inner && post->answer.free) {
        post->blocked = 0;
        ngx_http_atls_inner_writable(post->inner);

        if (post->parking) {
            ngx_http_atls_stream_send_later(post);
        }
    }
}


/*
 * All is done: the last records, the session back into the table, and only
 * then the end of the response, since the client's next POST may be at another
 * worker before this function returns.
 */

static void
ngx_http_atls_post_finish(ngx_http_atls_post_t *post)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = post->request;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls post finish, closing:%d refused:%d",
                   post->closing, post->refused);

    if (post->stage == ngx_http_atls_post_established
        && ngx_http_atls_post_last_record(post) != NGX_OK)
    {
        ngx_http_atls_post_fail(post, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (!post->answer.started && ngx_http_atls_post_headers(post) != NGX_OK) {
        ngx_http_atls_post_fail(post, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_http_atls_post_give_back(post) != NGX_OK) {
        ngx_http_atls_post_fail(post, NGX_HTTP_ATLS_ZONE_FULL);
        return;
    }

    if (post->event.posted) {
        ngx_delete_posted_event(&post->event);
    }

    ngx_http_atls_inner_release(post);

    post->stage = ngx_http_atls_post_done;

    if (post->bad_gateway && !post->closing && post->answer.length == 0) {
        rc = ngx_http_atls_problem(r, NGX_HTTP_ATLS_PAYLOAD_REFUSED);

    } else {
        rc = ngx_http_atls_answer_finish(&post->answer);
    }

    r->read_event_handler = ngx_http_block_reading;

    ngx_http_finalize_request(r, rc);
}


/*
 * The alert that ends a session, or an answer that is still owed.
 *
 * close_notify says that nothing is missing.  Someone on the path can bring
 * about that a response is cut, by closing its side of the connection or by
 * making others wait, and must not get that said.
 */

static ngx_int_t
ngx_http_atls_post_last_record(ngx_http_atls_post_t *post)
{
    u_char   *p, record[ATLS_CHANNEL_SHORT_RECORD];
    ssize_t   n;
    unsigned  alert;

    p = record;

    if (post->refused) {

        post->closing = 1;

        if (post->channel.peer_alert) {
            return NGX_OK;
        }

        n = atls_channel_alert(&post->channel, post->channel.alert, p);

    } else if (post->closing) {
        alert = (post->cut && !post->channel.state->read_closed)
                ? ATLS_INTERNAL_ERROR : ATLS_CLOSE_NOTIFY;

        n = atls_channel_alert(&post->channel, alert, p);

    } else if (post->bad_gateway) {
        return NGX_OK;

    } else {
        n = atls_channel_answer(&post->channel, p);
    }

    if (n < 0) {
        ngx_ssl_error(NGX_LOG_ALERT, post->request->connection->log, 0,
                      "atls record can't be sealed");
        return NGX_ERROR;
    }

    if (n == 0) {
        return NGX_OK;
    }

    post->sealed = 1;

    return ngx_http_atls_answer_copy(&post->answer, p, n);
}


static ngx_int_t
ngx_http_atls_post_give_back(ngx_http_atls_post_t *post)
{
    ngx_str_t               rest;
    ngx_shm_zone_t         *zone;
    ngx_http_atls_inner_t  *inner;

    zone = post->main_conf->zone;

    if (post->closing) {
        ngx_http_atls_post_drop_session(post);
        return NGX_OK;
    }

    inner = post->inner;

    /* a POST without a record of the client's keeps no session alive */

    if (post->opened) {
        post->session->used = ngx_http_atls_clock();
    }

    if (post->stage == ngx_http_atls_post_established) {

        ngx_http_atls_body_rest(&post->body, &rest);

        if (ngx_http_atls_session_keep(zone, &post->session->pending,
                                       rest.data, rest.len)
            != NGX_OK)
        {
            ngx_http_atls_session_full(zone, "has no memory for a record",
                                       post->request->connection->log);

            post->closing = 1;
            return NGX_ERROR;
        }

        atls_channel_done(&post->channel);

    } else {
        ngx_http_atls_handshake_attach(post->handshake, NULL);
        post->handshake = NULL;
    }

    if (inner) {
        post->inner = NULL;
        post->session->inner = inner;
        ngx_http_atls_inner_park(inner);
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls session put: %p, inner:%p", post->session, inner);

    ngx_http_atls_session_put(zone, post->session);
    post->session = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_post_headers(ngx_http_atls_post_t *post)
{
    ngx_http_request_t  *r;

    r = post->request;

    /*
     * Records that a handshake has left to be sent go out with a 502, as the
     * client can't do without them.
     */

    r->headers_out.status = (post->bad_gateway && !post->closing)
                            ? NGX_HTTP_BAD_GATEWAY : NGX_HTTP_OK;

    if (post->closing) {
        return post->fresh ? NGX_OK : ngx_http_atls_post_cookie(post, 1);
    }

    return post->fresh ? ngx_http_atls_post_cookie(post, 0) : NGX_OK;
}


static ngx_int_t
ngx_http_atls_post_cookie(ngx_http_atls_post_t *post, ngx_uint_t expired)
{
    ngx_str_t            value;
    ngx_http_request_t  *r;

    r = post->request;

    if (ngx_http_atls_cookie_header(r, &post->conf->cookie,
                                    expired ? NULL : post->session->id,
                                    ngx_http_atls_relayed_secure(r->connection),
                                    &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_atls_add_header(r, "Set-Cookie", &value);
}


void
ngx_http_atls_post_fail(ngx_http_atls_post_t *post, ngx_int_t status)
{
    ngx_uint_t           started;
    ngx_http_request_t  *r;

    r = post->request;
    started = post->answer.started;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls post fail: %i, started:%ui", status, started);

    if (started && ngx_http_atls_post_cut_short(post)) {
        return;
    }

    /* without an error of the connection, a 400 is for what chunks are not */

    if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE
        || (status == NGX_HTTP_BAD_REQUEST && !r->connection->error))
    {
        /* how much of it was used depends on how it came: it is all the same */

        if (post->stage == ngx_http_atls_post_begins && post->session) {
            ngx_http_atls_post_resume(post);
        }

        ngx_http_atls_post_drop_session(post);
    }

    ngx_http_atls_post_release(post);

    /* the request may go on for a while, but not the POST */

    r->read_event_handler = ngx_http_block_reading;

    if (started) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (ngx_http_atls_post_expires(post, status)
        && ngx_http_atls_post_cookie(post, 1) != NGX_OK)
    {
        status = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        if (!r->connection->error) {
            status = NGX_HTTP_ATLS_UNREADABLE_BODY;
        }

        break;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        status = NGX_HTTP_ATLS_TOO_LARGE;
        break;

    case NGX_HTTP_INTERNAL_SERVER_ERROR:
        status = NGX_HTTP_ATLS_INTERNAL_ERROR;
        break;
    }

    if (status > NGX_HTTP_ATLS_PROBLEM) {
        status = ngx_http_atls_problem(r, status);
    }

    ngx_http_finalize_request(r, status);
}


/*
 * Is the client to forget its cookie?  Not that of a session which it has not
 * heard of, or which goes on elsewhere.
 */

static ngx_uint_t
ngx_http_atls_post_expires(ngx_http_atls_post_t *post, ngx_int_t status)
{
    if (post->fresh) {
        return 0;
    }

    return post->closing
           || (ngx_http_atls_problem_status(status) == NGX_HTTP_ATLS_GONE
               && post->cookie && !post->elsewhere);
}


/*
 * The rest of the body can't be had, a part of the response is sent, and the
 * client is still there: the response ends as if it were whole, and only the
 * session does not.
 */

static ngx_uint_t
ngx_http_atls_post_cut_short(ngx_http_atls_post_t *post)
{
    ngx_connection_t  *c;

    c = post->request->connection;

    if (post->cut_short || post->body.status == 0 || post->failed
        || post->answer.error || c->error || c->timedout)
    {
        return 0;
    }

    post->cut_short = 1;

    ngx_http_atls_post_abort_inner(post);

    post->closing = 1;
    post->cut = 1;

    ngx_http_atls_post_finish(post);

    return 1;
}


static void
ngx_http_atls_post_abort_inner(ngx_http_atls_post_t *post)
{
    ngx_http_atls_inner_t  *inner;

    inner = post->inner;

    if (inner) {
        post->inner = NULL;
        ngx_http_atls_inner_abort(inner);
    }
}


static void
ngx_http_atls_post_drop_session(ngx_http_atls_post_t *post)
{
    ngx_http_atls_post_abort_inner(post);

    if (post->stage == ngx_http_atls_post_established) {
        atls_channel_done(&post->channel);
    }

    if (post->handshake) {
        ngx_http_atls_handshake_free(post->handshake);
        post->handshake = NULL;
    }

    if (post->session) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls session removed: %p", post->session);

        ngx_http_atls_session_remove(post->main_conf->zone, post->session);
        post->session = NULL;

        /* of a new one the client has not heard yet */

        post->closing = !post->fresh;
    }
}


/*
 * Before its time: a session goes on only if nothing of the body was used, or
 * all of it, and no plaintext of it was taken.  Else bytes would be missing
 * from the middle of the client's stream: someone on the path may tell the
 * client that the POST was served.
 */

static void
ngx_http_atls_post_release(ngx_http_atls_post_t *post)
{
    if (post->event.posted) {
        ngx_delete_posted_event(&post->event);
    }

    ngx_http_atls_inner_release(post);

    if (post->stage == ngx_http_atls_post_done) {
        return;
    }

    if (post->stage == ngx_http_atls_post_begins && post->session) {

        if (post->handshake) {
            ngx_http_atls_handshake_attach(post->handshake, NULL);
            post->handshake = NULL;
        }

        ngx_http_atls_session_put(post->main_conf->zone, post->session);
        post->session = NULL;

    } else if (post->stage == ngx_http_atls_post_established
               && ngx_http_atls_post_unused(post))
    {
        (void) ngx_http_atls_post_give_back(post);
    }

    ngx_http_atls_post_drop_session(post);

    post->stage = ngx_http_atls_post_done;
}


/*
 * Do both ends agree on all sequence numbers, and has no plaintext been taken?
 * Then the whole body is opened, and there was nothing for an inner request.
 */

static ngx_uint_t
ngx_http_atls_post_unused(ngx_http_atls_post_t *post)
{
    if (post->taken || post->sealed || post->closing || post->refused
        || post->channel.state->answer_owed)
    {
        return 0;
    }

    if (post->ended) {
        return 1;
    }

    return post->plain_len == 0 && !post->request->reading_body
           && ngx_http_atls_body_fill(&post->body) == NGX_DONE;
}


static void
ngx_http_atls_post_cleanup(void *data)
{
    ngx_http_atls_post_t *post = data;

    ngx_http_atls_post_release(post);
}
