
/*
 * A session as a resource (atls_session_tracking): its URI is that of the
 * endpoint, a slash and its identifier.
 */


#ifndef _NGX_HTTP_ATLS_RESOURCE_H_INCLUDED_
#define _NGX_HTTP_ATLS_RESOURCE_H_INCLUDED_


#include "ngx_http_atls.h"


/* Checks the location, and sets conf->uri and conf->uri_len. */

ngx_int_t ngx_http_atls_resource_conf(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);

/*
 * Whether the URI of a request is that of a session, existing or not.  The text
 * is its identifier, and may be invalid.
 */

ngx_uint_t ngx_http_atls_resource_find(ngx_http_request_t *r,
    ngx_http_atls_loc_conf_t *conf, ngx_str_t *text);

/*
 * Builds the value of the Location header for the id of a session, allocated
 * from the pool of the request.
 */

ngx_int_t ngx_http_atls_resource_header(ngx_http_request_t *r,
    ngx_http_atls_loc_conf_t *conf, u_char *id, ngx_str_t *value);


#endif /* _NGX_HTTP_ATLS_RESOURCE_H_INCLUDED_ */
