
/*
 * What a proxy has said of the connection that POSTs come by ("listen" with
 * "proxy_protocol"), for what core knows of it in inner requests.
 *
 * A copy is one block: the structure and all that it refers to.  It may be
 * moved, also to another process.
 */


#ifndef _NGX_HTTP_ATLS_PROXY_H_INCLUDED_
#define _NGX_HTTP_ATLS_PROXY_H_INCLUDED_


#include "ngx_http_atls.h"


/* No copy takes more: addresses are text, the rest is as it has come. */

#define NGX_HTTP_ATLS_PROXY_SIZE                                              \
    (sizeof(ngx_proxy_protocol_t) + NGX_PROXY_PROTOCOL_MAX_HEADER             \
     + 2 * NGX_INET6_ADDRSTRLEN)


/* The size of a copy. */

size_t ngx_http_atls_proxy_size(ngx_proxy_protocol_t *pp);

/* Makes a copy at dst, where there is room for it. */

void ngx_http_atls_proxy_write(ngx_proxy_protocol_t *dst,
    ngx_proxy_protocol_t *src);

/* After a copy of that size was moved.  NGX_ERROR: it is none. */

ngx_int_t ngx_http_atls_proxy_moved(ngx_proxy_protocol_t *pp, size_t size);

/* Makes a copy in a pool; there is none of NULL.  NGX_ERROR: no memory. */

ngx_int_t ngx_http_atls_proxy_copy(ngx_pool_t *pool,
    ngx_proxy_protocol_t **dst, ngx_proxy_protocol_t *src);


#endif /* _NGX_HTTP_ATLS_PROXY_H_INCLUDED_ */
