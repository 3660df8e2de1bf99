
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The socket of connections that have none of their own: nothing ever comes
 * there.
 */


#ifndef _NGX_HTTP_ATLS_SOCKET_H_INCLUDED_
#define _NGX_HTTP_ATLS_SOCKET_H_INCLUDED_


#include "ngx_http_atls.h"


/* In each worker.  NGX_ERROR, logged. */

ngx_int_t ngx_http_atls_socket_init_worker(ngx_cycle_t *cycle);

/*
 * A connection of nginx's own that has no socket behind it: nothing happens
 * there but what core does with all connections.  NULL: there is none.
 */

ngx_connection_t *ngx_http_atls_socket_connection(ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_SOCKET_H_INCLUDED_ */
