
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "trl_datagram.h"
#include "trl_flight.h"
#include "ngx_http_atls_handshake_io.h"
#include "ngx_http_atls_handshake_private.h"
#include "ngx_http_atls_records.h"


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
