
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_listening.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_proxy.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_relayed.h"

#include <poll.h>


#define NGX_HTTP_ATLS_RELAYED_REFUSAL  512


typedef struct {
    ngx_http_atls_listening_t  listening;      /* must be first */
    ngx_http_atls_endpoint_t  *endpoint;
    ngx_uint_t                 secure;
    size_t                     limit_rate;
    size_t                     limit_rate_after;
} ngx_http_atls_relayed_t;


static ngx_http_atls_endpoint_t *ngx_http_atls_relayed_endpoint(
    ngx_http_atls_mail_t *mail);
static ngx_listening_t *ngx_http_atls_relayed_listening(
    ngx_http_atls_mail_t *mail, ngx_http_atls_endpoint_t *endpoint);
static ngx_http_virtual_names_t *ngx_http_atls_relayed_names(
    ngx_connection_t *c, ngx_listening_t *ls);
static void ngx_http_atls_relayed_refuse(ngx_socket_t fd, ngx_log_t *log);
static ngx_http_atls_relayed_t *ngx_http_atls_relayed_create(
    ngx_connection_t *c, ngx_http_atls_mail_t *mail, ngx_log_t *log);
static ngx_int_t ngx_http_atls_relayed_init(ngx_connection_t *c,
    ngx_http_atls_mail_t *mail);
static void ngx_http_atls_relayed_handler(ngx_connection_t *c);
static ngx_uint_t ngx_http_atls_relayed_given_up(ngx_connection_t *c);


void
ngx_http_atls_relayed_accept(ngx_http_atls_mail_t *mail, ngx_socket_t fd,
    ngx_uint_t full, ngx_log_t *log)
{
    ngx_pool_t                *pool;
    ngx_listening_t           *ls;
    ngx_connection_t          *c;
    ngx_http_atls_relayed_t   *relayed;
    ngx_http_atls_endpoint_t  *endpoint;

    endpoint = ngx_http_atls_relayed_endpoint(mail);
    ls = ngx_http_atls_relayed_listening(mail, endpoint);

    if (endpoint == NULL || ls == NULL) {

        /* the other worker responds that the session is lost */

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "atls POST relayed to a worker process without its %s",
                      endpoint ? "listening socket" : "location");
        (void) ngx_close_socket(fd);
        return;
    }

    c = full ? NULL : ngx_get_connection(fd, log);

    if (c == NULL) {
        ngx_http_atls_relayed_refuse(fd, log);
        (void) ngx_close_socket(fd);
        return;
    }

    relayed = ngx_http_atls_relayed_create(c, mail, log);

    if (relayed == NULL) {
        ngx_http_atls_relayed_refuse(fd, log);

        pool = c->pool;
        ngx_close_connection(c);

        if (pool) {
            ngx_destroy_pool(pool);
        }

        return;
    }

    relayed->endpoint = endpoint;
    relayed->secure = mail->secure;
    relayed->limit_rate = mail->limit_rate;
    relayed->limit_rate_after = mail->limit_rate_after;

    ngx_http_atls_listening_init(&relayed->listening, c, ls,
                                 ngx_http_atls_relayed_names(c, ls),
                                 endpoint->server);

    /* identifies relayed connections */

    c->listening->handler = ngx_http_atls_relayed_handler;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls relayed connection: *%uA fd:%d", c->number, fd);

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    ngx_http_init_connection(c);

    /* the request is about to arrive: not reusable to free connections */

    ngx_reusable_connection(c, 0);
}


/*
 * A session may be continued at an endpoint that this worker does not know, if
 * its configuration is older: the endpoint, its name or its address was added
 * by a reload.  Then the POST is one of the session's own endpoint.
 */

static ngx_http_atls_endpoint_t *
ngx_http_atls_relayed_endpoint(ngx_http_atls_mail_t *mail)
{
    ngx_http_atls_endpoint_t  *endpoint;

    endpoint = ngx_http_atls_endpoint_get(ngx_cycle, mail->endpoint);

    if (endpoint
        && ngx_http_atls_endpoint_home(
                        endpoint->loc_conf[ngx_http_atls_module.ctx_index],
                        mail->home))
    {
        return endpoint;
    }

    return ngx_http_atls_endpoint_get(ngx_cycle, mail->home);
}


static ngx_listening_t *
ngx_http_atls_relayed_listening(ngx_http_atls_mail_t *mail,
    ngx_http_atls_endpoint_t *endpoint)
{
    ngx_uint_t                 i;
    ngx_addr_t                *addr;
    ngx_listening_t           *ls;
    ngx_http_atls_loc_conf_t  *alcf;

    ls = ngx_http_atls_listening_get(&mail->listen_sockaddr.sockaddr,
                                     mail->listen_socklen, mail->listen_type);

    if (ls || endpoint == NULL
        || (endpoint->id != mail->home && !mail->peer))
    {
        return ls;
    }

    alcf = endpoint->loc_conf[ngx_http_atls_module.ctx_index];
    addr = alcf->addrs.elts;

    for (i = 0; i < alcf->addrs.nelts && ls == NULL; i++) {
        ls = ngx_http_atls_listening_get(addr[i].sockaddr, addr[i].socklen,
                                         SOCK_STREAM);
    }

    return ls;
}


/* The socket may have another family than the connection of the client. */

static ngx_http_virtual_names_t *
ngx_http_atls_relayed_names(ngx_connection_t *c, ngx_listening_t *ls)
{
    return ngx_http_atls_listening_names(ls,
                    ls->sockaddr->sa_family == c->local_sockaddr->sa_family
                    ? c->local_sockaddr : ls->sockaddr);
}


/*
 * The session remains, but the POST cannot be processed now.  The response
 * fits into the buffer of the unused socket.
 */

static void
ngx_http_atls_relayed_refuse(ngx_socket_t fd, ngx_log_t *log)
{
    u_char  *p, buf[NGX_HTTP_ATLS_RELAYED_REFUSAL];

    ngx_log_error(NGX_LOG_ERR, log, 0, "atls relayed POST cannot be accepted");

    p = ngx_http_atls_problem_write(NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS, NULL,
                                    buf, sizeof(buf));

    if (send(fd, buf, p - buf, 0) == -1) {
        ngx_log_error(NGX_LOG_INFO, log, ngx_socket_errno,
                      "send() to an atls relay failed");
    }
}


static ngx_http_atls_relayed_t *
ngx_http_atls_relayed_create(ngx_connection_t *c, ngx_http_atls_mail_t *mail,
    ngx_log_t *log)
{
    ngx_log_t                *l;
    ngx_http_atls_relayed_t  *relayed;

    c->pool = ngx_create_pool(512, log);
    if (c->pool == NULL) {
        return NULL;
    }

    relayed = ngx_pcalloc(c->pool, sizeof(ngx_http_atls_relayed_t));
    l = ngx_palloc(c->pool, sizeof(ngx_log_t));

    if (relayed == NULL || l == NULL) {
        return NULL;
    }

    *l = *log;
    l->handler = NULL;
    l->data = NULL;
    l->action = NULL;

    if (mail->log_level) {
        l->log_level = mail->log_level;
    }

    c->pool->log = l;
    c->log = l;

    return ngx_http_atls_relayed_init(c, mail) == NGX_OK ? relayed : NULL;
}


static ngx_int_t
ngx_http_atls_relayed_init(ngx_connection_t *c, ngx_http_atls_mail_t *mail)
{
    u_char     buf[NGX_SOCKADDR_STRLEN];
    ngx_str_t  text;

    c->type = SOCK_STREAM;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    c->read->log = c->log;
    c->write->log = c->log;
    c->write->ready = 1;

    if (mail->proxy_size
        && (ngx_http_atls_proxy_moved(&mail->proxy.protocol, mail->proxy_size)
            != NGX_OK
            || ngx_http_atls_proxy_copy(c->pool, &c->proxy_protocol,
                                        &mail->proxy.protocol)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    text.data = buf;
    text.len = ngx_sock_ntop(&mail->sockaddr.sockaddr, mail->socklen, buf,
                             NGX_SOCKADDR_STRLEN, 0);

    return ngx_http_atls_listening_addrs(c, &mail->sockaddr.sockaddr,
                                         mail->socklen,
                                         &mail->local_sockaddr.sockaddr,
                                         mail->local_socklen, &text);
}


ngx_uint_t
ngx_http_atls_relayed(ngx_connection_t *c)
{
    return c->listening->handler == ngx_http_atls_relayed_handler;
}


ngx_uint_t
ngx_http_atls_relayed_secure(ngx_connection_t *c)
{
    if (ngx_http_atls_relayed(c)) {
        return ((ngx_http_atls_relayed_t *) c->listening)->secure;
    }

#if (NGX_HTTP_SSL)
    return c->ssl != NULL;
#else
    return 0;
#endif
}


/* There are few headers, so they are in the first part of the list. */

ngx_int_t
ngx_http_atls_relayed_session(ngx_http_request_t *r, ngx_str_t *text,
    ngx_uint_t *tracking)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_str_t        *value;
    ngx_table_elt_t  *header;

    len = sizeof(NGX_HTTP_ATLS_SESSION_HEADER) - 1;
    header = r->headers_in.headers.part.elts;

    for (i = 0; i < r->headers_in.headers.part.nelts; i++) {

        if (header[i].key.len != len
            || ngx_strncmp(header[i].key.data, NGX_HTTP_ATLS_SESSION_HEADER,
                           len)
               != 0)
        {
            continue;
        }

        value = &header[i].value;

        if (value->len < 2 || value->data[0] < '1' || value->data[0] > '3'
            || value->data[1] != ' ')
        {
            return NGX_ERROR;
        }

        *tracking = value->data[0] - '0';

        text->data = value->data + 2;
        text->len = value->len - 2;

        return NGX_OK;
    }

    return NGX_ERROR;
}


/* Identifies the listening structure: there is no socket to accept from. */

static void
ngx_http_atls_relayed_handler(ngx_connection_t *c)
{
    ngx_http_close_connection(c);
}


ngx_int_t
ngx_http_atls_relayed_serve(ngx_http_request_t *r)
{
    ngx_http_atls_relayed_t  *relayed;

    relayed = (ngx_http_atls_relayed_t *) r->connection->listening;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls relayed POST, server:\"%V\", secure:%ui",
                   &relayed->endpoint->server->server_name, relayed->secure);

    /* the request is logged by the relaying worker */

    r->logged = 1;

    if (ngx_http_atls_relayed_given_up(r->connection)) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls relayed POST was abandoned before being processed");

        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);

        return NGX_DONE;
    }

    r->limit_rate = relayed->limit_rate;
    r->limit_rate_set = 1;
    r->limit_rate_after = relayed->limit_rate_after;
    r->limit_rate_after_set = 1;

    r->srv_conf = relayed->endpoint->server->ctx->srv_conf;
    r->loc_conf = relayed->endpoint->loc_conf;

    ngx_http_update_location_config(r);

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r, r->content_handler(r));

    return NGX_DONE;
}


/*
 * If this process was stuck, the client has already got a response that the
 * session is lost.  The relaying worker has closed the connection, and the
 * socket only contains a part of the POST.
 */

static ngx_uint_t
ngx_http_atls_relayed_given_up(ngx_connection_t *c)
{
    struct pollfd  pfd;

    ngx_memzero(&pfd, sizeof(struct pollfd));

    pfd.fd = c->fd;

    return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP);
}
