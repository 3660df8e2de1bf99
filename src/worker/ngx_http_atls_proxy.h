
/*
 * PROXY protocol data of the connection of a POST ("listen" with
 * "proxy_protocol"), for inner requests.  A copy is a single block: the
 * structure and all data it refers to, and can be moved to another process.
 */


#ifndef _NGX_HTTP_ATLS_PROXY_H_INCLUDED_
#define _NGX_HTTP_ATLS_PROXY_H_INCLUDED_


#include "ngx_http_atls.h"


/* The maximum size of a copy: addresses are text, the rest is unchanged. */

#define NGX_HTTP_ATLS_PROXY_SIZE                                              \
    (sizeof(ngx_proxy_protocol_t) + NGX_PROXY_PROTOCOL_MAX_HEADER             \
     + 2 * NGX_INET6_ADDRSTRLEN)


/* The size of a copy. */

size_t ngx_http_atls_proxy_size(ngx_proxy_protocol_t *pp);

/* Writes a copy to dst, which must have room for it. */

void ngx_http_atls_proxy_write(ngx_proxy_protocol_t *dst,
    ngx_proxy_protocol_t *src);

/*
 * Relocates a copy of that size after it was moved.  NGX_ERROR: invalid copy.
 */

ngx_int_t ngx_http_atls_proxy_moved(ngx_proxy_protocol_t *pp, size_t size);

/* Copies to a pool; the copy of NULL is NULL.  NGX_ERROR: no memory. */

ngx_int_t ngx_http_atls_proxy_copy(ngx_pool_t *pool,
    ngx_proxy_protocol_t **dst, ngx_proxy_protocol_t *src);


#endif /* _NGX_HTTP_ATLS_PROXY_H_INCLUDED_ */
