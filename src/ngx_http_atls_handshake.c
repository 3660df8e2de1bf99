
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"


struct ngx_http_atls_handshake_s {
    ngx_connection_t            connection;    /* what ngx_ssl_* want to see:
                                                  no socket, own pool, log */
    atls_watch_t                watch;
    ngx_event_t                 timer;

    ngx_shm_zone_t             *zone;
    u_char                      id[NGX_HTTP_ATLS_ID_LEN];

    ngx_http_atls_post_t       *post;          /* being served, or NULL */

    u_char                      header[ATLS_HEADER_SIZE];
    size_t                      header_len;    /* of the record being fed */
    size_t                      rest;          /* of it, after the header */
};


static ngx_int_t ngx_http_atls_handshake_ssl(ngx_http_atls_handshake_t *hs,
    ngx_ssl_t *ssl);
static size_t ngx_http_atls_handshake_want(ngx_http_atls_handshake_t *hs);
static ngx_uint_t ngx_http_atls_handshake_fed(ngx_http_atls_handshake_t *hs,
    u_char *data, size_t len);
static ngx_int_t ngx_http_atls_handshake_step(ngx_http_atls_handshake_t *hs,
    ngx_log_t *log);
static void ngx_http_atls_handshake_timeout(ngx_event_t *ev);


static ngx_uint_t  ngx_http_atls_handshakes_n;


ngx_http_atls_handshake_t *
ngx_http_atls_handshake_create(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_session_t *session,
    ngx_log_t *log)
{
    ngx_log_t                  *l;
    ngx_pool_t                 *pool;
    ngx_connection_t           *c;
    ngx_http_atls_handshake_t  *hs;

    pool = ngx_create_pool(2048, log);
    if (pool == NULL) {
        return NULL;
    }

    hs = ngx_pcalloc(pool, sizeof(ngx_http_atls_handshake_t));
    if (hs == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    l = ngx_palloc(pool, sizeof(ngx_log_t));
    if (l == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    *l = *log;
    l->connection = 0;
    l->handler = NULL;
    l->data = NULL;
    l->action = NULL;

    pool->log = l;

    c = &hs->connection;
    c->fd = (ngx_socket_t) -1;
    c->pool = pool;
    c->log = l;
    c->data = hs;

    hs->zone = amcf->zone;
    ngx_memcpy(hs->id, session->id, NGX_HTTP_ATLS_ID_LEN);

    ngx_http_atls_handshakes_n++;

    if (ngx_http_atls_handshake_ssl(hs, alcf->ssl) != NGX_OK) {
        ngx_http_atls_handshake_free(hs);
        return NULL;
    }

    hs->timer.handler = ngx_http_atls_handshake_timeout;
    hs->timer.data = c;
    hs->timer.log = l;

    /*
     * Not cancelable: a worker that is told to quit finishes its handshakes
     * first, for at most this long.
     */

    ngx_add_timer(&hs->timer, alcf->handshake_timeout);

    session->handshake = hs;

    return hs;
}


static ngx_int_t
ngx_http_atls_handshake_ssl(ngx_http_atls_handshake_t *hs, ngx_ssl_t *ssl)
{
    BIO               *rbio, *wbio;
    ngx_connection_t  *c;

    c = &hs->connection;

    if (ngx_ssl_create_connection(ssl, c, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    rbio = BIO_new(BIO_s_mem());
    wbio = BIO_new(BIO_s_mem());

    if (rbio == NULL || wbio == NULL) {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0, "BIO_new() failed");
        BIO_free(rbio);
        BIO_free(wbio);
        return NGX_ERROR;
    }

    /* takes both over, and drops the socket BIO */

    SSL_set_bio(c->ssl->connection, rbio, wbio);

    if (atls_watch(c->ssl->connection, &hs->watch) != 0) {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0, "SSL_set_ex_data() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_atls_handshakes(void)
{
    return ngx_http_atls_handshakes_n;
}


void
ngx_http_atls_handshake_attach(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_post_t *post)
{
    hs->post = post;
}


ngx_int_t
ngx_http_atls_handshake_feed(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_body_t *body, ngx_log_t *log)
{
    u_char     *data;
    size_t      len;
    ngx_int_t   rc;

    for ( ;; ) {

        rc = ngx_http_atls_body_read(body, ngx_http_atls_handshake_want(hs),
                                     &data, &len);
        if (rc != NGX_OK) {
            return rc;
        }

        /* a memory BIO takes all or nothing */

        if (BIO_write(SSL_get_rbio(hs->connection.ssl->connection), data,
                      (int) len)
            != (int) len)
        {
            ngx_ssl_error(NGX_LOG_ALERT, log, 0, "BIO_write() failed");
            return NGX_DECLINED;
        }

        if (!ngx_http_atls_handshake_fed(hs, data, len)) {
            continue;
        }

        rc = ngx_http_atls_handshake_step(hs, log);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }
}


/* The bytes up to the end of the record's header, or of the record. */

static size_t
ngx_http_atls_handshake_want(ngx_http_atls_handshake_t *hs)
{
    if (hs->rest) {
        return hs->rest;
    }

    return ATLS_HEADER_SIZE - hs->header_len;
}


/*
 * Follows the records' boundaries.  Returns 1 when OpenSSL should look: at the
 * end of a record, or at a header that it is not going to like.
 */

static ngx_uint_t
ngx_http_atls_handshake_fed(ngx_http_atls_handshake_t *hs, u_char *data,
    size_t len)
{
    if (hs->rest) {
        hs->rest -= len;
        return hs->rest == 0;
    }

    ngx_memcpy(&hs->header[hs->header_len], data, len);
    hs->header_len += len;

    if (hs->header_len < ATLS_HEADER_SIZE) {
        return 0;
    }

    hs->header_len = 0;
    hs->rest = (hs->header[3] << 8) + hs->header[4];

    return hs->rest == 0
           || hs->header[0] < ATLS_CHANGE_CIPHER_SPEC
           || hs->header[0] > ATLS_APPLICATION_DATA
           || hs->header[1] != 3
           || ATLS_HEADER_SIZE + hs->rest > ATLS_MAX_RECORD;
}


static ngx_int_t
ngx_http_atls_handshake_step(ngx_http_atls_handshake_t *hs, ngx_log_t *log)
{
    int                n, sslerr;
    ngx_log_t         *saved;
    ngx_connection_t  *c;

    c = &hs->connection;

    /* callbacks of nginx's log to the connection's log */

    saved = c->log;
    c->log = log;

    ERR_clear_error();

    n = SSL_do_handshake(c->ssl->connection);

    c->log = saved;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls SSL_do_handshake: %d", n);

    if (n == 1) {
        return NGX_OK;
    }

    sslerr = SSL_get_error(c->ssl->connection, n);

    if (sslerr == SSL_ERROR_WANT_READ) {
        return NGX_AGAIN;
    }

    ngx_ssl_error(NGX_LOG_INFO, log, 0, "atls handshake failed");

    return NGX_DECLINED;
}


ngx_str_t
ngx_http_atls_handshake_output(ngx_http_atls_handshake_t *hs)
{
    BIO        *wbio;
    ngx_str_t   output;

    wbio = SSL_get_wbio(hs->connection.ssl->connection);

    output.len = BIO_get_mem_data(wbio, &output.data);

    return output;
}


void
ngx_http_atls_handshake_sent(ngx_http_atls_handshake_t *hs)
{
    (void) BIO_reset(SSL_get_wbio(hs->connection.ssl->connection));
}


ngx_int_t
ngx_http_atls_handshake_freeze(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session, ngx_log_t *log)
{
    ngx_int_t          rc;
    ngx_str_t          sni;
    const char        *reason, *name;
    ngx_ssl_conn_t    *ssl;

    ssl = hs->connection.ssl->connection;

    rc = NGX_ERROR;

    if (atls_freeze(ssl, &hs->watch, &session->state, &reason) != 0) {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0,
                      "atls session can't be taken from OpenSSL: %s", reason);
        goto done;
    }

    name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    sni.len = name ? ngx_strlen(name) : 0;
    sni.data = (u_char *) name;

    rc = ngx_http_atls_session_establish(hs->zone, session, &sni);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "atls_zone \"%V\" has no memory for a server name",
                      &hs->zone->shm.name);
    }

done:

    ngx_http_atls_handshake_free(hs);
    session->handshake = NULL;

    return rc;
}


void
ngx_http_atls_handshake_free(ngx_http_atls_handshake_t *hs)
{
    ngx_http_atls_handshakes_n--;

    if (hs->timer.timer_set) {
        ngx_del_timer(&hs->timer);
    }

    if (hs->connection.ssl && hs->connection.ssl->connection) {
        SSL_free(hs->connection.ssl->connection);
    }

    ngx_explicit_memzero(&hs->watch, sizeof(atls_watch_t));

    ngx_destroy_pool(hs->connection.pool);
}


static void
ngx_http_atls_handshake_timeout(ngx_event_t *ev)
{
    ngx_connection_t           *c;
    ngx_http_atls_handshake_t  *hs;

    c = ev->data;
    hs = c->data;

    ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                  "atls handshake timed out");

    if (hs->post) {
        /* the POST frees the handshake and its session */
        ngx_http_atls_post_timeout(hs->post);
        return;
    }

    ngx_http_atls_session_forget(hs->zone, hs->id, hs);
    ngx_http_atls_handshake_free(hs);
}
