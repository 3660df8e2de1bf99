
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Idle connections of this worker process to other machines, and TLS sessions
 * for new ones.  A worker process has one configuration: after a reload, there
 * are neither.
 */


#ifndef _NGX_HTTP_ATLS_LINK_POOL_H_INCLUDED_
#define _NGX_HTTP_ATLS_LINK_POOL_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_node.h"


ngx_int_t ngx_http_atls_link_pool_init_worker(ngx_cycle_t *cycle);
void ngx_http_atls_link_pool_exit_worker(void);

/* An idle connection to the machine, or NULL. */

ngx_connection_t *ngx_http_atls_link_pool_get(ngx_http_atls_node_t *node);

/* Keeps or closes a connection, on which nothing is in progress. */

void ngx_http_atls_link_pool_put(ngx_http_atls_node_t *node,
    ngx_connection_t *c);

/* The last TLS session with the machine, or NULL.  A new one is not copied. */

ngx_ssl_session_t *ngx_http_atls_link_pool_session(ngx_http_atls_node_t *node);
void ngx_http_atls_link_pool_save(ngx_http_atls_node_t *node,
    ngx_ssl_session_t *session);

/* Closes a connection, with or without TLS. */

void ngx_http_atls_link_pool_close(ngx_connection_t *c);


#endif /* _NGX_HTTP_ATLS_LINK_POOL_H_INCLUDED_ */
