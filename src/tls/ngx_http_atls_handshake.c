
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_socket.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_dtls.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_handshake_private.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_peer.h"
#include "ngx_http_atls_sni.h"
#include "ngx_http_atls_ssl.h"


static ngx_int_t ngx_http_atls_handshake_enter(ngx_http_atls_handshake_t *hs);
static void ngx_http_atls_handshake_leave(ngx_http_atls_handshake_t *hs);
static ngx_int_t ngx_http_atls_handshake_ssl(ngx_http_atls_handshake_t *hs,
    ngx_uint_t early_data);
static void ngx_http_atls_handshake_count(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session);
static void ngx_http_atls_handshake_timeout(ngx_event_t *ev);
static void ngx_http_atls_handshake_served(ngx_http_atls_handshake_t *hs);
static void ngx_http_atls_handshake_shutdown(ngx_event_t *rev);
static void ngx_http_atls_handshake_end(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_ending_e reason);


ngx_int_t
ngx_http_atls_handshake_create(ngx_http_atls_main_conf_t *amcf,
    ngx_http_request_t *r, ngx_http_atls_session_t *session, ngx_uint_t dtls,
    ngx_log_t *log, ngx_http_atls_expire_pt expire,
    ngx_http_atls_handshake_t **hsp)
{
    ngx_log_t                  *l;
    ngx_pool_t                 *pool;
    ngx_connection_t           *c;
    ngx_http_atls_handshake_t  *hs;

    pool = ngx_create_pool(2048, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    hs = ngx_pcalloc(pool, sizeof(ngx_http_atls_handshake_t));
    l = ngx_palloc(pool, sizeof(ngx_log_t));

    if (hs == NULL || l == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    *l = *log;
    l->connection = 0;
    l->handler = NULL;
    l->data = NULL;
    l->action = NULL;

    /* for "debug_connection" */

    if (r->connection->log->log_level & NGX_LOG_DEBUG_CONNECTION) {
        l->log_level = r->connection->log->log_level;
    }

    pool->log = l;

    c = &hs->peer.connection;
    c->fd = (ngx_socket_t) -1;
    c->pool = pool;
    c->log = l;
    c->data = hs;

    hs->watch.alert_in = TRL_NO_ALERT;
    hs->watch.alert_out = TRL_NO_ALERT;

    hs->start = ngx_current_msec;
    hs->result = ngx_http_atls_result_aborted;
    hs->expire = expire;
    hs->dtls = (unsigned) dtls;
    hs->peer.zone = amcf->zone;
    ngx_memcpy(hs->id, session->id, NGX_HTTP_ATLS_ID_LEN);
    hs->label = ngx_http_atls_label(session->id, l);

    ngx_http_atls_sni_target(r, ngx_http_get_module_loc_conf(r,
                                                       ngx_http_atls_module),
                             &hs->peer.target);

    if (dtls && hs->peer.target.tls->dtls == NULL) {
        ngx_destroy_pool(pool);
        return NGX_DECLINED;
    }

    if (ngx_http_atls_handshake_enter(hs) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NGX_BUSY;
    }

    if (ngx_http_atls_handshake_ssl(hs, amcf->early_data) != NGX_OK) {
        ngx_http_atls_handshake_free(hs);
        return NGX_ERROR;
    }

    hs->timer.handler = ngx_http_atls_handshake_timeout;
    hs->timer.data = c;
    hs->timer.log = l;

    /*
     * The timer is not cancelable: on graceful shutdown, the worker completes
     * its handshakes first, limited by this timer and worker_shutdown_timeout.
     */

    ngx_add_timer(&hs->timer, hs->peer.target.conf->handshake_timeout);

    session->u.handshake = hs;
    *hsp = hs;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_handshake_enter(ngx_http_atls_handshake_t *hs)
{
    ngx_connection_t  *c;

    if (ngx_http_atls_process.nhandshakes == 0) {

        c = ngx_http_atls_socket_connection(ngx_cycle->log);
        if (c == NULL) {
            return NGX_ERROR;
        }

        c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
        c->read->handler = ngx_http_atls_handshake_shutdown;

        ngx_http_atls_process.handshakes_connection = c;
    }

    ngx_http_atls_process.nhandshakes++;
    ngx_queue_insert_tail(&ngx_http_atls_process.handshakes, &hs->queue);
    ngx_http_atls_gauge(handshaking, ngx_http_atls_handshakes());

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, hs->peer.connection.log, 0,
                   "atls %08xD handshake begins, in progress:%ui", hs->label,
                   ngx_http_atls_process.nhandshakes);

    return NGX_OK;
}


static void
ngx_http_atls_handshake_leave(ngx_http_atls_handshake_t *hs)
{
    ngx_http_atls_handshake_served(hs);

    ngx_queue_remove(&hs->queue);
    ngx_http_atls_process.nhandshakes--;
    ngx_http_atls_gauge(handshaking, ngx_http_atls_handshakes());

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, hs->peer.connection.log, 0,
                   "atls %08xD handshake ends, in progress:%ui", hs->label,
                   ngx_http_atls_process.nhandshakes);

    if (ngx_http_atls_process.nhandshakes == 0) {
        ngx_close_connection(ngx_http_atls_process.handshakes_connection);
        ngx_http_atls_process.handshakes_connection = NULL;
    }
}


static ngx_int_t
ngx_http_atls_handshake_ssl(ngx_http_atls_handshake_t *hs,
    ngx_uint_t early_data)
{
    BIO               *rbio, *wbio;
    ngx_ssl_t         *ssl;
    ngx_connection_t  *c;

    c = &hs->peer.connection;
    ssl = hs->dtls ? hs->peer.target.tls->dtls : hs->peer.target.tls->ssl;

    if (ngx_ssl_create_connection(ssl, c, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    hs->reading_early = early_data && !hs->dtls;

    rbio = BIO_new(BIO_s_mem());
    wbio = BIO_new(BIO_s_mem());

    if (rbio == NULL || wbio == NULL) {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0, "BIO_new() failed");
        BIO_free(rbio);
        BIO_free(wbio);
        return NGX_ERROR;
    }

    /* takes ownership of both, and frees the socket BIO */

    SSL_set_bio(c->ssl->connection, rbio, wbio);

    /*
     * Responses to early data are not padded, like other responses: this
     * overrides atls_conf_command.  Newer OpenSSL versions call the padding
     * callback before the first record only.
     */

    (void) SSL_set_block_padding(c->ssl->connection, 0);

    if (trl_watch(c->ssl->connection, &hs->watch) != 0) {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0, "SSL_set_ex_data() failed");
        return NGX_ERROR;
    }

    if (hs->dtls
        && ngx_http_atls_dtls_connection(c->ssl->connection) != NGX_OK)
    {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0, "SSL_set_mtu() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_atls_handshakes(void)
{
    return ngx_http_atls_process.nhandshakes - ngx_http_atls_process.nserving;
}


void
ngx_http_atls_handshake_attach(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_post_t *post)
{
    hs->post = post;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, hs->peer.connection.log, 0,
                   "atls %08xD handshake attach: %d, serving:%d", hs->label,
                   post != NULL, (int) hs->serving);

    /* the timeout does not include the time of the response to early data */

    if (post == NULL && hs->serving) {
        ngx_http_atls_handshake_served(hs);
        ngx_add_timer(&hs->timer, hs->peer.target.conf->handshake_timeout);
    }

    if (post == NULL && ngx_http_atls_process.handshakes_connection->close) {
        ngx_add_timer(&hs->timer, 0);
    }
}


/*
 * The response to early data may be read slowly, as any other response.  In
 * the meantime, the timeout of the handshake does not apply.
 */

ngx_int_t
ngx_http_atls_handshake_prolong(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session, ngx_uint_t working)
{
    ngx_connection_t  *c;

    c = &hs->peer.connection;

    if (!working
        || (!hs->serving
            && ngx_http_atls_session_serve(hs->peer.zone, session) != NGX_OK))
    {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "atls handshake timed out");
        hs->result = ngx_http_atls_result_timed_out;
        return NGX_DECLINED;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls %08xD handshake prolonged", hs->label);

    if (!hs->serving) {
        hs->serving = 1;
        ngx_http_atls_process.nserving++;
        ngx_http_atls_gauge(handshaking, ngx_http_atls_handshakes());
    }

    ngx_add_timer(&hs->timer, hs->peer.target.conf->handshake_timeout);

    return NGX_OK;
}


ngx_http_atls_target_t *
ngx_http_atls_handshake_target(ngx_http_atls_handshake_t *hs)
{
    return &hs->peer.target;
}


ngx_uint_t
ngx_http_atls_handshake_dtls(ngx_http_atls_handshake_t *hs)
{
    return hs->dtls;
}


ngx_uint_t
ngx_http_atls_handshake_is(ngx_http_atls_handshake_t *hs, u_char *random)
{
    u_char  own[TRL_RANDOM];

    if (hs->watch.messages == 0) {
        return 1;
    }

    return SSL_get_client_random(hs->peer.connection.ssl->connection, own,
                                 TRL_RANDOM)
           == TRL_RANDOM
           && ngx_memcmp(own, random, TRL_RANDOM) == 0;
}


ngx_uint_t
ngx_http_atls_handshake_past_hello(ngx_http_atls_handshake_t *hs)
{
    return hs->watch.past_hello;
}


ngx_int_t
ngx_http_atls_handshake_describe(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session)
{
    ngx_int_t          rc;
    ngx_str_t          psk;
    ngx_connection_t  *c;

    if (session->named) {
        return NGX_OK;
    }

    c = &hs->peer.connection;

    trl_state_describe(c->ssl->connection, &session->state);

    session->policy = ngx_http_atls_identity_peer_policy(&hs->peer);
    session->alpn = ngx_http_atls_ssl_alpn(c->ssl->connection);
    session->other = (unsigned) hs->peer.target.other;
    session->reused = hs->peer.ticket && SSL_session_reused(c->ssl->connection);

    ngx_log_debug6(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls %08xD negotiated, protocol:%04xd, suite:%04xd, "
                   "group:%04xd, alpn:%d, reused:%d", hs->label,
                   (int) session->state.protocol, (int) session->state.suite,
                   (int) session->state.group, (int) session->alpn,
                   (int) session->reused);

    /* resumption is not authentication, so the lifetime is not extended */

    if (session->reused) {
        session->lifetime = (int32_t) ngx_min((time_t) session->lifetime,
                                              hs->peer.remaining);
    }

    psk = ngx_http_atls_peer_psk(&hs->peer);

    rc = ngx_http_atls_identity_set(hs->peer.zone, session, c, &psk);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_atls_session_name(hs->peer.zone, session, &hs->peer.sni);

    if (rc != NGX_OK) {
        ngx_http_atls_session_full(hs->peer.zone,
                                   "has no memory for a server name", c->log);
    }

    return rc;
}


ngx_int_t
ngx_http_atls_handshake_freeze(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session, ngx_log_t *log)
{
    ngx_int_t        rc;
    const char      *reason;
    ngx_shm_zone_t  *zone;

    zone = hs->peer.zone;

    rc = ngx_http_atls_handshake_describe(hs, session);

    if (rc == NGX_OK
        && trl_freeze(hs->peer.connection.ssl->connection, &hs->watch,
                      &session->state, &reason)
           != 0)
    {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0,
                      "atls session cannot be frozen: %s", reason);
        rc = NGX_ERROR;
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls %08xD freeze: %i, in:%uL, out:%uL", hs->label, rc,
                   session->state.read.seq, session->state.write.seq);

    if (rc == NGX_OK) {

        if (hs->dtls) {
            session->state.u.tls12.next_flight = hs->next;
        }

        ngx_http_atls_handshake_count(hs, session);
    }

    ngx_http_atls_handshake_free(hs);
    session->u.handshake = NULL;

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_atls_session_establish(zone, session, log);
}


static void
ngx_http_atls_handshake_count(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session)
{
    int                        early;
    ngx_http_atls_counters_t  *counters;

    hs->result = ngx_http_atls_result_finished;

    counters = ngx_http_atls_process.counters;

    ngx_http_atls_count_key(counters->protocols, session->state.protocol);
    ngx_http_atls_count_key(counters->suites, session->state.suite);
    ngx_http_atls_count_key(counters->groups, session->state.group);

    counters->resumptions[session->psk ? ngx_http_atls_resumption_psk
                          : session->reused ? ngx_http_atls_resumption_ticket
                          : ngx_http_atls_resumption_none]++;

    early = SSL_get_early_data_status(hs->peer.connection.ssl->connection);

    if (early != SSL_EARLY_DATA_NOT_SENT) {
        counters->early_data[early == SSL_EARLY_DATA_REJECTED]++;
    }

    ngx_http_atls_count_time(&counters->handshake_time,
                             ngx_current_msec - hs->start);
}


void
ngx_http_atls_handshake_free(ngx_http_atls_handshake_t *hs)
{
    ngx_http_atls_count(handshakes[hs->result]);

    if (hs->watch.alert_in != TRL_NO_ALERT) {
        ngx_http_atls_count_alert(NGX_HTTP_ATLS_IN, hs->watch.alert_in);
    }

    if (hs->watch.alert_out != TRL_NO_ALERT) {
        ngx_http_atls_count_alert(NGX_HTTP_ATLS_OUT, hs->watch.alert_out);
    }

    ngx_http_atls_handshake_leave(hs);

    if (hs->timer.timer_set) {
        ngx_del_timer(&hs->timer);
    }

    if (hs->peer.connection.ssl && hs->peer.connection.ssl->connection) {
        SSL_free(hs->peer.connection.ssl->connection);
    }

    ngx_explicit_memzero(&hs->watch, sizeof(trl_watch_t));

    if (hs->early.data) {
        ngx_explicit_memzero(hs->early.data, TRL_MAX_PLAINTEXT);
    }

    if (hs->gathered) {
        ngx_explicit_memzero(hs->gathered, TRL_MAX_PLAINTEXT);
    }

    ngx_destroy_pool(hs->peer.connection.pool);
}


static void
ngx_http_atls_handshake_timeout(ngx_event_t *ev)
{
    ngx_connection_t           *c;
    ngx_http_atls_handshake_t  *hs;

    c = ev->data;
    hs = c->data;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls %08xD handshake timer, POST:%p", hs->label, hs->post);

    if (hs->post) {
        /* extends the timeout, or frees the handshake and its session */
        hs->expire(hs->post, NULL);
        return;
    }

    ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                  "atls handshake timed out");

    hs->result = ngx_http_atls_result_timed_out;

    ngx_http_atls_handshake_end(hs, ngx_http_atls_ending_handshake_timeout);
}


static void
ngx_http_atls_handshake_served(ngx_http_atls_handshake_t *hs)
{
    if (hs->serving) {
        hs->serving = 0;
        ngx_http_atls_process.nserving--;
        ngx_http_atls_gauge(handshaking, ngx_http_atls_handshakes());
    }
}


/* Handshakes with a POST end with the POST, which core closes as well. */

static void
ngx_http_atls_handshake_shutdown(ngx_event_t *rev)
{
    ngx_queue_t                *q, *next, *queue;
    ngx_connection_t           *c;
    ngx_http_atls_handshake_t  *hs;

    c = rev->data;

    if (!c->close) {
        return;
    }

    queue = &ngx_http_atls_process.handshakes;

    for (q = ngx_queue_head(queue); q != ngx_queue_sentinel(queue); q = next) {
        next = ngx_queue_next(q);

        hs = ngx_queue_data(q, ngx_http_atls_handshake_t, queue);

        if (hs->post == NULL) {
            ngx_log_error(NGX_LOG_INFO, hs->peer.connection.log, 0,
                          "atls handshake aborted: "
                          "worker process is shutting down");
            ngx_http_atls_handshake_end(hs, ngx_http_atls_ending_shutdown);
        }
    }
}


static void
ngx_http_atls_handshake_end(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_ending_e reason)
{
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_session_forget(hs->peer.zone, hs->id, hs, reason);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, hs->peer.connection.log, 0,
                   "atls %08xD handshake aborted, inner:%p", hs->label,
                   inner);

    if (inner) {
        hs->expire(NULL, inner);
    }

    ngx_http_atls_handshake_free(hs);
}
