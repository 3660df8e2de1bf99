
/*
 * atls_payload raw: the plaintext of a POST becomes the body of one request,
 * chunked since its length is not known in advance.
 */


#ifndef _NGX_HTTP_ATLS_RAW_H_INCLUDED_
#define _NGX_HTTP_ATLS_RAW_H_INCLUDED_


#include "ngx_http_atls.h"


struct ngx_http_atls_raw_s {
    ngx_str_t    head;      /* header of the inner request, to be received
                               first */
    size_t       chunk;     /* rest of the chunk */
    u_char       framing[32];   /* chunk size and CRLFs */

    unsigned     begun:1;   /* chunk has started */
    unsigned     ended:1;   /* last chunk was added */
    unsigned     answered:1;    /* response is complete */
};


/* Allocated from the inner connection's pool.  NULL: no memory. */

ngx_http_atls_raw_t *ngx_http_atls_raw_create(ngx_pool_t *pool,
    ngx_http_atls_post_t *post);

/* The host of an outer request, or else of its server. */

void ngx_http_atls_raw_host(ngx_http_request_t *outer, ngx_str_t *host);

/*
 * Like c->recv(): the request's header, then the plaintext of the POST in
 * chunks.
 */

ssize_t ngx_http_atls_raw_recv(ngx_http_atls_raw_t *raw,
    ngx_http_atls_post_t *post, u_char *buf, size_t size);


#endif /* _NGX_HTTP_ATLS_RAW_H_INCLUDED_ */
