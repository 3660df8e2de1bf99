
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_node.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_link.h"
#include "ngx_http_atls_link_pool.h"


/*
 * The other machine may have to ask the store before it answers.  If it does
 * not on a connection that was used before, another one is tried.
 */

#define NGX_HTTP_ATLS_LINK_TIMEOUT  2000
#define NGX_HTTP_ATLS_LINK_SILENCE  5000


static void ngx_http_atls_link_open(ngx_http_atls_link_t *link);
static void ngx_http_atls_link_event(ngx_event_t *ev);
static ngx_http_atls_link_t *ngx_http_atls_link_ready(ngx_event_t *ev);
static ngx_int_t ngx_http_atls_link_connected(ngx_connection_t *c);
static void ngx_http_atls_link_ssl(ngx_http_atls_link_t *link);
static void ngx_http_atls_link_handshake(ngx_connection_t *c);
static ngx_int_t ngx_http_atls_link_verify(ngx_http_atls_link_t *link,
    ngx_connection_t *c);
static void ngx_http_atls_link_save(ngx_connection_t *c);
static void ngx_http_atls_link_ask(ngx_http_atls_link_t *link);
static void ngx_http_atls_link_answer(ngx_event_t *ev);
static ngx_int_t ngx_http_atls_link_answered(ngx_http_atls_link_t *link,
    ngx_connection_t *c);
static void ngx_http_atls_link_done(ngx_http_atls_link_t *link, ngx_int_t rc);


/*
 * The certificate, the CA and the CRL of the server that accepts these
 * connections are also those of the client: a machine is both.  Its SSL_CTX
 * cannot be shared, since OpenSSL calls the server name callback in clients,
 * too.
 */

ngx_int_t
ngx_http_atls_link_conf(ngx_conf_t *cf, ngx_http_atls_store_t *store)
{
    ngx_str_t                *cert, *key;
    ngx_uint_t                i;
    ngx_pool_cleanup_t       *cln;
    ngx_http_ssl_srv_conf_t  *sscf;

    sscf = store->peer->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

    store->ssl.log = cf->log;

    if (ngx_ssl_create(&store->ssl, sscf->protocols, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(&store->ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = &store->ssl;

    cert = sscf->certificates->elts;
    key = sscf->certificate_keys->elts;

    for (i = 0; i < sscf->certificates->nelts; i++) {
        if (ngx_ssl_certificate(cf, &store->ssl, &cert[i], &key[i],
                                sscf->passwords)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_ssl_trusted_certificate(cf, &store->ssl, &sscf->client_certificate,
                                    sscf->verify_depth)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_ssl_crl(cf, &store->ssl, &sscf->crl) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_ssl_client_session_cache(cf, &store->ssl, 1);
}


void
ngx_http_atls_link_connect(ngx_http_atls_link_t *link)
{
    ngx_connection_t  *c;

    link->name.data = link->node.name;
    link->name.len = ngx_strlen(link->node.name);

    c = ngx_http_atls_link_pool_get(&link->node);

    link->used = (c != NULL);

    if (c == NULL) {
        ngx_http_atls_link_open(link);
        return;
    }

    link->peer.connection = c;

    c->data = link;
    c->log = link->log;
    c->read->log = link->log;
    c->write->log = link->log;
    c->pool->log = link->log;

    ngx_http_atls_link_ask(link);
}


static void
ngx_http_atls_link_open(ngx_http_atls_link_t *link)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *peer;

    peer = &link->peer;

    ngx_memzero(peer, sizeof(ngx_peer_connection_t));

    peer->sockaddr = &link->node.sockaddr.sockaddr;
    peer->socklen = link->node.socklen;
    peer->name = &link->name;
    peer->get = ngx_event_get_peer;
    peer->log = link->log;
    peer->log_error = NGX_ERROR_ERR;

    rc = ngx_event_connect_peer(peer);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, link->log, 0,
                   "atls link to \"%V\": %i", &link->name, rc);

    c = peer->connection;

    if (rc != NGX_OK && rc != NGX_AGAIN) {

        if (c) {
            ngx_close_connection(c);
            peer->connection = NULL;
        }

        ngx_http_atls_link_done(link, rc == NGX_DECLINED ? NGX_DECLINED
                                                         : NGX_ERROR);
        return;
    }

    c->data = link;
    c->log = link->log;
    c->read->log = link->log;
    c->write->log = link->log;
    c->read->handler = ngx_http_atls_link_event;
    c->write->handler = ngx_http_atls_link_event;

    c->pool = ngx_create_pool(256, link->log);

    if (c->pool == NULL) {
        ngx_http_atls_link_done(link, NGX_ERROR);
        return;
    }

    ngx_add_timer(c->write, NGX_HTTP_ATLS_LINK_TIMEOUT);

    if (rc == NGX_OK) {
        ngx_http_atls_link_ssl(link);
    }
}


static void
ngx_http_atls_link_event(ngx_event_t *ev)
{
    ngx_int_t              rc;
    ngx_http_atls_link_t  *link;

    link = ngx_http_atls_link_ready(ev);

    if (link == NULL) {
        return;
    }

    rc = ngx_http_atls_link_connected(link->peer.connection);

    if (rc != NGX_OK) {
        ngx_http_atls_link_done(link, rc);
        return;
    }

    ngx_http_atls_link_ssl(link);
}


/* NULL: it has timed out; the same at worker_shutdown_timeout. */

static ngx_http_atls_link_t *
ngx_http_atls_link_ready(ngx_event_t *ev)
{
    ngx_connection_t      *c;
    ngx_http_atls_link_t  *link;

    c = ev->data;
    link = c->data;

    if (!ev->timedout && !c->close) {
        return link;
    }

    ngx_log_error(NGX_LOG_ERR, c->log, NGX_ETIMEDOUT,
                  "atls node \"%V\" cannot be reached", &link->name);

    ngx_http_atls_link_done(link, NGX_ERROR);

    return NULL;
}


static ngx_int_t
ngx_http_atls_link_connected(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err == 0) {
        return NGX_OK;
    }

    (void) ngx_connection_error(c, err, "connect() to atls node failed");

    return (err == NGX_ECONNREFUSED || err == NGX_ECONNRESET) ? NGX_DECLINED
                                                              : NGX_ERROR;
}


static void
ngx_http_atls_link_ssl(ngx_http_atls_link_t *link)
{
    ngx_int_t           rc;
    ngx_connection_t   *c;
    ngx_ssl_session_t  *session;

    c = link->peer.connection;

    session = ngx_http_atls_link_pool_session(&link->node);

    if (ngx_tcp_nodelay(c) != NGX_OK
        || ngx_ssl_create_connection(&link->store->ssl, c,
                                     NGX_SSL_BUFFER|NGX_SSL_CLIENT)
           != NGX_OK
        || SSL_set_tlsext_host_name(c->ssl->connection,
                                    (char *) link->node.name)
           != 1
        || (session && ngx_ssl_set_session(c, session) != NGX_OK))
    {
        ngx_http_atls_link_done(link, NGX_ERROR);
        return;
    }

    c->ssl->save_session = ngx_http_atls_link_save;

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_http_atls_link_handshake;
        return;
    }

    ngx_http_atls_link_handshake(c);
}


static void
ngx_http_atls_link_handshake(ngx_connection_t *c)
{
    ngx_http_atls_link_t  *link;

    link = c->data;

    if (c->ssl->handshaked
        && ngx_http_atls_link_verify(link, c) == NGX_OK)
    {
        ngx_http_atls_link_ask(link);
        return;
    }

    if (c->read->timedout || c->write->timedout) {
        ngx_log_error(NGX_LOG_ERR, c->log, NGX_ETIMEDOUT,
                      "atls node \"%V\" cannot be reached", &link->name);
    }

    /* a process that quits does not accept all connections of its socket */

    ngx_http_atls_link_done(link, (c->read->eof && !c->read->error)
                                  ? NGX_DECLINED : NGX_ERROR);
}


static ngx_int_t
ngx_http_atls_link_verify(ngx_http_atls_link_t *link, ngx_connection_t *c)
{
    long  rc;

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "atls node \"%V\": certificate verify error: (%l:%s)",
                      &link->name, rc, X509_verify_cert_error_string(rc));
        return NGX_ERROR;
    }

    if (ngx_ssl_check_host(c, &link->name) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "atls node \"%V\": its certificate does not have this "
                      "name", &link->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* A new session, while the handshake or the answer is awaited. */

static void
ngx_http_atls_link_save(ngx_connection_t *c)
{
    ngx_ssl_session_t     *session;
    ngx_http_atls_link_t  *link;

    link = c->data;
    session = ngx_ssl_get_session(c);

    if (session) {
        ngx_http_atls_link_pool_save(&link->node, session);
    }
}


static void
ngx_http_atls_link_ask(ngx_http_atls_link_t *link)
{
    ngx_connection_t  *c;

    c = link->peer.connection;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls link to \"%V\" asks, connection *%uA, used:%d, "
                   "resumed:%d", &link->name, c->number, (int) link->used,
                   (int) SSL_session_reused(c->ssl->connection));

    link->received = 0;

    /* the upstream would take it for its own */

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->handler = ngx_http_atls_link_answer;
    c->write->handler = ngx_http_empty_handler;

    ngx_add_timer(c->read, link->used ? NGX_HTTP_ATLS_LINK_TIMEOUT
                                      : NGX_HTTP_ATLS_LINK_SILENCE);

    if (c->send(c, link->head.data, link->head.len)
        != (ssize_t) link->head.len)
    {
        ngx_http_atls_link_done(link, NGX_ERROR);
        return;
    }

    ngx_http_atls_link_answer(c->read);
}


static void
ngx_http_atls_link_answer(ngx_event_t *ev)
{
    ngx_int_t              rc;
    ngx_http_atls_link_t  *link;

    link = ngx_http_atls_link_ready(ev);

    if (link) {
        rc = ngx_http_atls_link_answered(link, link->peer.connection);

        if (rc != NGX_AGAIN) {
            ngx_http_atls_link_done(link, rc);
        }
    }
}


/* The other machine is going to read the body. */

static ngx_int_t
ngx_http_atls_link_answered(ngx_http_atls_link_t *link, ngx_connection_t *c)
{
    ssize_t  n;

    static const char  expected[] = "HTTP/1.1 100 Continue" CRLF CRLF;

    while (link->received < NGX_HTTP_ATLS_LINK_ANSWER) {

        n = c->recv(c, link->answer + link->received,
                    NGX_HTTP_ATLS_LINK_ANSWER - link->received);

        if (n == NGX_AGAIN) {
            return ngx_handle_read_event(c->read, 0) == NGX_OK ? NGX_AGAIN
                                                               : NGX_ERROR;
        }

        if (n <= 0) {
            return n == 0 ? NGX_DECLINED : NGX_ERROR;
        }

        link->received += n;
    }

    if (ngx_memcmp(link->answer, expected, NGX_HTTP_ATLS_LINK_ANSWER) == 0) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, c->log, 0,
                  "atls node \"%V\" has refused a POST: \"%*s\"", &link->name,
                  sizeof("HTTP/1.1 404") - 1, link->answer);

    return NGX_ERROR;
}


/* If it was used before, the other machine may have closed it meanwhile. */

static void
ngx_http_atls_link_done(ngx_http_atls_link_t *link, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = link->peer.connection;
    link->rc = rc;

    if (c) {
        if (c->read->timer_set) {
            ngx_del_timer(c->read);
        }

        if (c->write->timer_set) {
            ngx_del_timer(c->write);
        }

        if (rc != NGX_OK) {
            ngx_http_atls_link_cancel(link);

        } else {
            c->ssl->save_session = NULL;
        }
    }

    if (rc != NGX_OK && link->used) {
        link->used = 0;
        ngx_http_atls_link_open(link);
        return;
    }

    link->handler(link);
}


void
ngx_http_atls_link_cancel(ngx_http_atls_link_t *link)
{
    if (link->peer.connection) {
        ngx_http_atls_link_pool_close(link->peer.connection);
        link->peer.connection = NULL;
    }
}
