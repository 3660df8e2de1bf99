
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * What nginx receives from an inner connection and sends to it, and the events
 * of both.
 */


#ifndef _NGX_HTTP_ATLS_INNER_IO_H_INCLUDED_
#define _NGX_HTTP_ATLS_INNER_IO_H_INCLUDED_


#include "ngx_http_atls.h"


/* Sets what receives and sends. */

void ngx_http_atls_inner_io_init(ngx_connection_t *c);

/* The inner connection that a connection is, or NULL. */

ngx_http_atls_inner_t *ngx_http_atls_inner_get(ngx_connection_t *c);

/* There may be something to receive; there is room to send. */

void ngx_http_atls_inner_readable(ngx_http_atls_inner_t *inner);
void ngx_http_atls_inner_writable(ngx_http_atls_inner_t *inner);

/* The client has closed its side of the outer connection. */

void ngx_http_atls_inner_half_closed(ngx_http_atls_inner_t *inner);

/* There is no client any more. */

void ngx_http_atls_inner_lost(ngx_http_atls_inner_t *inner);



#endif /* _NGX_HTTP_ATLS_INNER_IO_H_INCLUDED_ */
