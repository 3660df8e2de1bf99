
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* Input and output of an inner connection, and their events. */


#ifndef _NGX_HTTP_ATLS_INNER_IO_H_INCLUDED_
#define _NGX_HTTP_ATLS_INNER_IO_H_INCLUDED_


#include "ngx_http_atls.h"


/* Sets the receive and send functions. */

void ngx_http_atls_inner_io_init(ngx_connection_t *c);

/* The inner connection of a connection, or NULL. */

ngx_http_atls_inner_t *ngx_http_atls_inner_get(ngx_connection_t *c);

/* Notifications that data may be received, and that data may be sent. */

void ngx_http_atls_inner_readable(ngx_http_atls_inner_t *inner);
void ngx_http_atls_inner_writable(ngx_http_atls_inner_t *inner);

/* Continues the POST that waits for output, if any. */

void ngx_http_atls_inner_wake(ngx_http_atls_inner_t *inner);

/* Called when the client has closed its side of the outer connection. */

void ngx_http_atls_inner_half_closed(ngx_http_atls_inner_t *inner);

/* Called when the client is gone. */

void ngx_http_atls_inner_lost(ngx_http_atls_inner_t *inner);


#endif /* _NGX_HTTP_ATLS_INNER_IO_H_INCLUDED_ */
