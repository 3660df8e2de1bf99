
/*
 * POSTs with exported keys (atls_exported_keys): each is a message with a whole
 * request (message/http, aes128gcm).  The session is named by the message, and
 * is not taken.
 */


#ifndef _NGX_HTTP_ATLS_EXPORTED_H_INCLUDED_
#define _NGX_HTTP_ATLS_EXPORTED_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Checks the type and the content coding of a request.  NGX_DECLINED: it is not
 * a message, or the location has no exported keys; NGX_OK: the type of the
 * response is set; or a problem.
 */

ngx_int_t ngx_http_atls_exported_accept(ngx_http_request_t *r);

/* Makes a POST one with a message.  NGX_ERROR: no memory. */

ngx_int_t ngx_http_atls_exported_create(ngx_http_atls_post_t *post);

/*
 * The first stage of a POST with a message: until its first record has turned
 * out to be authentic, and its number has not been used before.  Returns are
 * those of ngx_http_atls_begin().
 */

ngx_int_t ngx_http_atls_exported_begin(ngx_http_atls_post_t *post);

/* Adds the header with the content coding to the response. */

ngx_int_t ngx_http_atls_exported_headers(ngx_http_atls_post_t *post);

/* The POST has ended: wipes its keys. */

void ngx_http_atls_exported_end(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_EXPORTED_H_INCLUDED_ */
