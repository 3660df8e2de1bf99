
/*
 * An outer POST: takes its session, reads the body on demand, passes it to a
 * handshake or an inner connection, puts the session back, and ends the
 * response.
 */


#ifndef _NGX_HTTP_ATLS_POST_H_INCLUDED_
#define _NGX_HTTP_ATLS_POST_H_INCLUDED_


#include "ngx_http_atls.h"


/* NULL: no memory.  The POST is released with the request. */

ngx_http_atls_post_t *ngx_http_atls_post_create(ngx_http_request_t *r);

/*
 * The handler of the request body, called when the session, if any, was taken.
 */

void ngx_http_atls_post_start(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ATLS_POST_H_INCLUDED_ */
