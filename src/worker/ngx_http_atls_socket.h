
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The socket of connections without a socket: it never has any data. */


#ifndef _NGX_HTTP_ATLS_SOCKET_H_INCLUDED_
#define _NGX_HTTP_ATLS_SOCKET_H_INCLUDED_


#include "ngx_http_atls.h"


/* In each worker.  NGX_ERROR, logged. */

ngx_int_t ngx_http_atls_socket_init_worker(ngx_cycle_t *cycle);

/*
 * Allocates an nginx connection without a socket: it has no events except those
 * which core creates for all connections.  NULL: no free connections.
 */

ngx_connection_t *ngx_http_atls_socket_connection(ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_SOCKET_H_INCLUDED_ */
