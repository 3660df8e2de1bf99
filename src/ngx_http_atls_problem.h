
/*
 * Error responses to outer POSTs: application/problem+json, RFC 9457.
 */


#ifndef _NGX_HTTP_ATLS_PROBLEM_H_INCLUDED_
#define _NGX_HTTP_ATLS_PROBLEM_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Sends the response of one of the statuses of the protocol (400, 405, 409,
 * 410, 415, 502, 503) with the headers that belong to it.  Returns what
 * ngx_http_finalize_request() wants.
 */

ngx_int_t ngx_http_atls_problem(ngx_http_request_t *r, ngx_uint_t status);

/*
 * The whole response, as it goes from worker to worker: its end.  The cookie
 * may be NULL.
 */

u_char *ngx_http_atls_problem_write(ngx_uint_t status, ngx_str_t *cookie,
    u_char *buf, size_t size);

/* Adds a header to a response. */

ngx_int_t ngx_http_atls_add_header(ngx_http_request_t *r, const char *key,
    ngx_str_t *value);


#endif /* _NGX_HTTP_ATLS_PROBLEM_H_INCLUDED_ */
