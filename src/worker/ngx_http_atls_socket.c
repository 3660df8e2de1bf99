
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_socket.h"


/*
 * Core uses the socket of a connection directly: recv(MSG_PEEK) must return
 * EAGAIN, and shutdown() must be harmless.  So these connections have one end
 * of a socket pair without any data.
 */

ngx_int_t
ngx_http_atls_socket_init_worker(ngx_cycle_t *cycle)
{
    ngx_socket_t  *s;

    s = ngx_http_atls_process.sockets;

    if (!(ngx_event_flags & NGX_USE_CLEAR_EVENT)) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"atls\" requires the \"epoll\" or \"kqueue\" "
                      "event method");
        return NGX_ERROR;
    }

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "socketpair() for \"atls\" failed");
        return NGX_ERROR;
    }

    if (ngx_nonblocking(s[0]) == -1 || ngx_nonblocking(s[1]) == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      ngx_nonblocking_n " for \"atls\" failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_connection_t *
ngx_http_atls_socket_connection(ngx_log_t *log)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ngx_http_atls_process.sockets[0], log);
    if (c == NULL) {
        return NULL;
    }

    c->shared = 1;
    c->log = log;

    /* called by core for all connections at worker_shutdown_timeout */

    c->read->handler = ngx_http_empty_handler;
    c->read->log = log;
    c->write->log = log;

    return c;
}
