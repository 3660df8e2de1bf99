
/*
 * Associations for clients (atls_association): what is sent in response to
 * "POST /.well-known/atls-association" inside a session.  The pre-shared key is
 * exported by both sides, and never sent.
 */


#ifndef _NGX_HTTP_ATLS_PREPARE_H_INCLUDED_
#define _NGX_HTTP_ATLS_PREPARE_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Serves an inner request for an association; to be called in a phase after
 * access is checked.  NGX_DECLINED for other requests.
 */

ngx_int_t ngx_http_atls_prepare(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner);


#endif /* _NGX_HTTP_ATLS_PREPARE_H_INCLUDED_ */
