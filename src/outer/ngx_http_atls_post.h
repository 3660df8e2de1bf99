
/*
 * One outer POST: takes its session, reads its body as far as there is use
 * for it, lets a handshake or an inner connection answer, gives the session
 * back, and ends the response.
 */


#ifndef _NGX_HTTP_ATLS_POST_H_INCLUDED_
#define _NGX_HTTP_ATLS_POST_H_INCLUDED_


#include "ngx_http_atls.h"


/* NULL: no memory.  What it has is released with the request. */

ngx_http_atls_post_t *ngx_http_atls_post_create(ngx_http_request_t *r);

/* The handler of the request's body, when its session, if any, is taken. */

void ngx_http_atls_post_start(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ATLS_POST_H_INCLUDED_ */
