
/*
 * Web pages of other origins (atls_cors): CORS, Fetch Standard, section 3.3.
 * Credentials are never allowed, so a session is named by the URI of its POSTs.
 */


#ifndef _NGX_HTTP_ATLS_CORS_H_INCLUDED_
#define _NGX_HTTP_ATLS_CORS_H_INCLUDED_


#include "ngx_http_atls.h"


struct ngx_http_atls_cors_s {
    ngx_array_t                origins;        /* ngx_str_t */
    ngx_uint_t                 any;            /* 1: "*" */
};


/* The handler of the directive. */

char *ngx_http_atls_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Whether a request is a preflight request of an allowed origin. */

ngx_uint_t ngx_http_atls_cors_preflight(ngx_http_request_t *r,
    ngx_http_atls_cors_t *cors);

/*
 * Adds the headers to any response of an endpoint, instead of those with the
 * same names.  A 204 response is that to a preflight request.
 */

ngx_int_t ngx_http_atls_cors_headers(ngx_http_request_t *r,
    ngx_http_atls_loc_conf_t *conf);


#endif /* _NGX_HTTP_ATLS_CORS_H_INCLUDED_ */
