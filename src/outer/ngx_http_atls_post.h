
/*
 * One outer POST: takes its session, reads its body as far as there is use
 * for it, lets a handshake or an inner connection answer, gives the session
 * back, and ends the response.
 */


#ifndef _NGX_HTTP_ATLS_POST_H_INCLUDED_
#define _NGX_HTTP_ATLS_POST_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_stream.h"


/* NULL: no memory.  What it has is released with the request. */

ngx_http_atls_post_t *ngx_http_atls_post_create(ngx_http_request_t *r);

/* Sets post->target, of where it has come to and a name that was asked for. */

void ngx_http_atls_post_find_target(ngx_http_atls_post_t *post,
    ngx_str_t *name);

/* The handler of the request's body, when its session, if any, is taken. */

void ngx_http_atls_post_start(ngx_http_request_t *r);

/*
 * The POST can't go on: a status or a problem, or NGX_ERROR when there is
 * nobody to tell.
 */

void ngx_http_atls_post_fail(ngx_http_atls_post_t *post, ngx_int_t status);


#endif /* _NGX_HTTP_ATLS_POST_H_INCLUDED_ */
