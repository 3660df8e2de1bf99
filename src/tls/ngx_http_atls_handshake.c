
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_datagram.h"
#include "trl_flight.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_socket.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_dtls.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_peer.h"
#include "ngx_http_atls_records.h"
#include "ngx_http_atls_sni.h"
#include "ngx_http_atls_ssl.h"


struct ngx_http_atls_handshake_s {
    ngx_http_atls_peer_t        peer;
    trl_watch_t                 watch;
    ngx_event_t                 timer;
    ngx_queue_t                 queue;         /* handshakes of the worker */

    u_char                      id[NGX_HTTP_ATLS_ID_LEN];
    uint32_t                    label;         /* session in the debug log */

    ngx_http_atls_post_t       *post;          /* current POST, or NULL */
    ngx_http_atls_expire_pt     expire;

    ngx_http_atls_records_t     records;       /* of the client's input */
    ngx_msec_t                  start;
    ngx_http_atls_result_e      result;        /* if it is freed now */

    ngx_str_t                   early;         /* early data read */
    u_char                     *gathered;      /* response to it, gathered */

    unsigned                    answered:1;    /* output is TLS records */
    unsigned                    reading_early:1;  /* early data may follow */
    unsigned                    serving:1;     /* early data in progress: not
                                                  counted as handshake */

    /* DTLS */

    ngx_str_t                   flight;        /* the last one sent */
    uint32_t                    next;          /* number of the next record that
                                                  is not protected */
    size_t                      numbered;      /* bytes of the output */
    trl_flight_t                received;      /* records of the client */
    unsigned                    dtls:1;
    unsigned                    again:1;       /* the flight is needed again */
};


static ngx_int_t ngx_http_atls_handshake_enter(ngx_http_atls_handshake_t *hs);
static void ngx_http_atls_handshake_leave(ngx_http_atls_handshake_t *hs);
static ngx_int_t ngx_http_atls_handshake_ssl(ngx_http_atls_handshake_t *hs,
    ngx_uint_t early_data);
static ngx_http_atls_handshake_e ngx_http_atls_handshake_record(
    ngx_http_atls_handshake_t *hs, u_char *data, size_t len, ngx_log_t *log);
static void ngx_http_atls_handshake_number(ngx_http_atls_handshake_t *hs);
static ngx_http_atls_handshake_e ngx_http_atls_handshake_step(
    ngx_http_atls_handshake_t *hs, ngx_log_t *log);
static int ngx_http_atls_handshake_read_early(ngx_http_atls_handshake_t *hs);
static ngx_int_t ngx_http_atls_handshake_check(ngx_http_atls_handshake_t *hs,
    ngx_log_t *log);
static ngx_http_atls_handshake_e ngx_http_atls_handshake_result(
    ngx_http_atls_handshake_t *hs, int n, ngx_log_t *log);
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


size_t
ngx_http_atls_handshake_want(ngx_http_atls_handshake_t *hs)
{
    return ngx_http_atls_records_want(&hs->records);
}


ngx_http_atls_handshake_e
ngx_http_atls_handshake_input(ngx_http_atls_handshake_t *hs, u_char *data,
    size_t len, ngx_log_t *log)
{
    ngx_http_atls_handshake_e  rc;

    rc = ngx_http_atls_handshake_record(hs, data, len, log);

    if (rc == ngx_http_atls_handshake_failed) {
        hs->result = ngx_http_atls_result_failed;
    }

    return rc;
}


static ngx_http_atls_handshake_e
ngx_http_atls_handshake_record(ngx_http_atls_handshake_t *hs, u_char *data,
    size_t len, ngx_log_t *log)
{
    ngx_http_atls_boundary_e   boundary;
    ngx_http_atls_handshake_e  rc;

    /* a memory BIO accepts all bytes or none */

    if (BIO_write(SSL_get_rbio(hs->peer.connection.ssl->connection), data,
                  (int) len)
        != (int) len)
    {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "BIO_write() failed");
        return ngx_http_atls_handshake_failed;
    }

    boundary = ngx_http_atls_records_input(&hs->records, data, len);

    if (boundary == ngx_http_atls_boundary_inside) {
        return ngx_http_atls_handshake_again;
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls %08xD handshake record in: %ui, %ui, boundary:%d",
                   hs->label, (ngx_uint_t) hs->records.header[0],
                   (ngx_uint_t) TRL_HEADER_SIZE
                   + (hs->records.header[3] << 8) + hs->records.header[4],
                   (int) boundary);

    /* if the input is not TLS, no alert is sent */

    if (boundary == ngx_http_atls_boundary_not_tls && !hs->answered) {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls client sent a first flight that is not TLS");
        return ngx_http_atls_handshake_failed;
    }

    rc = ngx_http_atls_handshake_step(hs, log);

    if (rc != ngx_http_atls_handshake_failed
        && ngx_http_atls_handshake_check(hs, log) != NGX_OK)
    {
        return ngx_http_atls_handshake_failed;
    }

    if (rc == ngx_http_atls_handshake_again
        && boundary != ngx_http_atls_boundary_end)
    {
        /* OpenSSL would wait for the rest of the record */

        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls client sent an invalid record");
        return ngx_http_atls_handshake_failed;
    }

    return rc;
}


/*
 * OpenSSL gets one record at a time, since a memory BIO has no boundaries.  It
 * handles lost, repeated and reordered records, and discards invalid ones.
 */

ngx_http_atls_handshake_e
ngx_http_atls_handshake_datagram(ngx_http_atls_handshake_t *hs, u_char *record,
    size_t len, ngx_log_t *log)
{
    trl_flight_e               check;
    ngx_http_atls_handshake_e  rc;

    check = trl_flight_check(&hs->received, &hs->watch, record, len);

    ngx_log_debug5(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls %08xD handshake record in: %ui, %uz, check:%d, "
                   "again:%d", hs->label, (ngx_uint_t) record[0], len,
                   (int) check, (int) hs->again);

    if (check == trl_flight_again) {
        hs->again = 1;
    }

    if (check == trl_flight_alert) {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls client sent an alert that is not authentic: %ui",
                      (ngx_uint_t) record[TRL_DATAGRAM_HEADER + 1]);
    }

    if (check != trl_flight_needed) {
        return ngx_http_atls_handshake_again;
    }

    if (BIO_write(SSL_get_rbio(hs->peer.connection.ssl->connection), record,
                  (int) len)
        != (int) len)
    {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "BIO_write() failed");
        rc = ngx_http_atls_handshake_failed;

    } else {
        rc = ngx_http_atls_handshake_step(hs, log);
    }

    if (rc != ngx_http_atls_handshake_failed
        && ngx_http_atls_handshake_check(hs, log) != NGX_OK)
    {
        rc = ngx_http_atls_handshake_failed;
    }

    if (rc == ngx_http_atls_handshake_failed) {
        hs->result = ngx_http_atls_result_failed;
    }

    ngx_http_atls_handshake_number(hs);

    return rc;
}


/* OpenSSL does not know of flights that are sent again. */

static void
ngx_http_atls_handshake_number(ngx_http_atls_handshake_t *hs)
{
    ngx_str_t  output;

    output = ngx_http_atls_handshake_output(hs);

    hs->next += trl_datagram_number(output.data + hs->numbered,
                                    output.len - hs->numbered, hs->next);
    hs->numbered = output.len;
}


static ngx_http_atls_handshake_e
ngx_http_atls_handshake_step(ngx_http_atls_handshake_t *hs, ngx_log_t *log)
{
    int                         n;
    ngx_log_t                  *saved;
    ngx_connection_t           *c;
    ngx_http_atls_handshake_e   rc;

    c = &hs->peer.connection;

    /* nginx's callbacks log to the log of the connection */

    saved = c->log;
    c->log = log;

    ERR_clear_error();

    n = hs->reading_early ? ngx_http_atls_handshake_read_early(hs)
                          : SSL_READ_EARLY_DATA_FINISH;

    if (n == SSL_READ_EARLY_DATA_SUCCESS) {
        rc = ngx_http_atls_handshake_early;

    } else if (n == SSL_READ_EARLY_DATA_FINISH) {
        n = SSL_do_handshake(c->ssl->connection);

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, log, 0,
                       "atls %08xD SSL_do_handshake: %d", hs->label, n);

        rc = ngx_http_atls_handshake_result(hs, n, log);

    } else {
        rc = ngx_http_atls_handshake_result(hs, -1, log);
    }

    c->log = saved;

    return rc;
}


/* Like SSL_read_early_data(): "finish" if there is no more early data. */

static int
ngx_http_atls_handshake_read_early(ngx_http_atls_handshake_t *hs)
{
    int                n;
    ngx_connection_t  *c;

    c = &hs->peer.connection;

    if (hs->early.data == NULL) {
        hs->early.data = ngx_palloc(c->pool, TRL_MAX_PLAINTEXT);
        if (hs->early.data == NULL) {
            return SSL_READ_EARLY_DATA_ERROR;
        }
    }

    do {
        n = SSL_read_early_data(c->ssl->connection, hs->early.data,
                                TRL_MAX_PLAINTEXT, &hs->early.len);

        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, c->log, 0,
                       "atls %08xD SSL_read_early_data: %d, %uz", hs->label, n,
                       hs->early.len);

    } while (n == SSL_READ_EARLY_DATA_SUCCESS && hs->early.len == 0);

    if (n == SSL_READ_EARLY_DATA_FINISH) {
        hs->reading_early = 0;
    }

    return n;
}


/*
 * Negotiated parameters must be supported without the SSL.  They are checked
 * before the ServerHello is sent, so it can be replaced with an alert.
 */

static ngx_int_t
ngx_http_atls_handshake_check(ngx_http_atls_handshake_t *hs, ngx_log_t *log)
{
    BIO         *wbio;
    u_char      *p;
    const char  *name;
    u_char       alert[TRL_DATAGRAM_HEADER + 2];

    static u_char  tls[] = { TRL_ALERT, 3, 3 };
    static u_char  dtls[] = { TRL_ALERT, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0 };
    static u_char  content[] = { 0, 2, 2, SSL_AD_HANDSHAKE_FAILURE };

    wbio = SSL_get_wbio(hs->peer.connection.ssl->connection);

    if (BIO_pending(wbio) == 0) {
        return NGX_OK;
    }

    name = trl_unsupported(hs->peer.connection.ssl->connection);

    if (name == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "atls handshake failed: \"%s\" is not supported", name);

    p = hs->dtls ? ngx_cpymem(alert, dtls, sizeof(dtls))
                 : ngx_cpymem(alert, tls, sizeof(tls));
    p = ngx_cpymem(p, content, sizeof(content));

    (void) BIO_reset(wbio);
    (void) BIO_write(wbio, alert, (int) (p - alert));

    hs->watch.alert_out = SSL_AD_HANDSHAKE_FAILURE;

    return NGX_ERROR;
}


static ngx_http_atls_handshake_e
ngx_http_atls_handshake_result(ngx_http_atls_handshake_t *hs, int n,
    ngx_log_t *log)
{
    u_char           byte;
    ngx_ssl_conn_t  *ssl;

    ssl = hs->peer.connection.ssl->connection;

    if (n == 1 && (hs->dtls || !SSL_has_pending(ssl))) {
        return ngx_http_atls_handshake_finished;
    }

    if (n == 1) {

        /*
         * TLS 1.2: the record of Finished contains more data, which cannot be
         * extracted.  OpenSSL selects the alert.
         */

        (void) SSL_read(ssl, &byte, 1);
        (void) SSL_shutdown(ssl);

    } else if (SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ) {
        return ngx_http_atls_handshake_again;
    }

    ngx_ssl_error(NGX_LOG_INFO, log, 0, "atls handshake failed");

    return ngx_http_atls_handshake_failed;
}


ngx_http_atls_target_t *
ngx_http_atls_handshake_target(ngx_http_atls_handshake_t *hs)
{
    return &hs->peer.target;
}


ngx_str_t
ngx_http_atls_handshake_early_data(ngx_http_atls_handshake_t *hs)
{
    return hs->early;
}


ngx_int_t
ngx_http_atls_handshake_seal(ngx_http_atls_handshake_t *hs, struct iovec *iov,
    ngx_uint_t niov, size_t len, ngx_log_t *log)
{
    u_char            *p;
    size_t             written;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    c = &hs->peer.connection;

    if (hs->gathered == NULL) {
        hs->gathered = ngx_palloc(c->pool, TRL_MAX_PLAINTEXT);
        if (hs->gathered == NULL) {
            return NGX_ERROR;
        }
    }

    p = hs->gathered;

    for (i = 0; i < niov; i++) {
        p = ngx_cpymem(p, iov[i].iov_base, iov[i].iov_len);
    }

    ERR_clear_error();

    if (SSL_write_early_data(c->ssl->connection, hs->gathered, len, &written)
        != 1
        || written != len
        || ngx_http_atls_handshake_output(hs).len > len + TRL_CHANNEL_OVERHEAD)
    {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "SSL_write_early_data() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


size_t
ngx_http_atls_handshake_max(ngx_http_atls_handshake_t *hs)
{
    SSL_SESSION  *session;

    session = SSL_get_session(hs->peer.connection.ssl->connection);

    return trl_max_fragment(session);
}


ngx_str_t
ngx_http_atls_handshake_output(ngx_http_atls_handshake_t *hs)
{
    BIO        *wbio;
    ngx_str_t   output;

    wbio = SSL_get_wbio(hs->peer.connection.ssl->connection);

    output.len = BIO_get_mem_data(wbio, &output.data);

    return output;
}


void
ngx_http_atls_handshake_sent(ngx_http_atls_handshake_t *hs)
{
    hs->answered = 1;

    if (hs->dtls) {
        hs->flight = ngx_http_atls_handshake_output(hs);
        hs->flight.data = ngx_pstrdup(hs->peer.connection.pool, &hs->flight);

        if (hs->flight.data == NULL) {
            hs->flight.len = 0;
        }

        hs->received.answered = hs->watch.messages;
        hs->numbered = 0;
    }

    (void) BIO_reset(SSL_get_wbio(hs->peer.connection.ssl->connection));
}


ngx_uint_t
ngx_http_atls_handshake_answered(ngx_http_atls_handshake_t *hs)
{
    return hs->answered;
}


ngx_uint_t
ngx_http_atls_handshake_dtls(ngx_http_atls_handshake_t *hs)
{
    return hs->dtls;
}


ngx_str_t
ngx_http_atls_handshake_flight(ngx_http_atls_handshake_t *hs,
    ngx_uint_t *again)
{
    *again = hs->again;

    if (hs->again) {
        hs->again = 0;
        hs->next += trl_datagram_number(hs->flight.data, hs->flight.len,
                                        hs->next);
    }

    return hs->flight;
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
