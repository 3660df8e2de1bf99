
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The request to the other worker and its response: upstream callbacks. */


#ifndef _NGX_HTTP_ATLS_RELAY_HTTP_H_INCLUDED_
#define _NGX_HTTP_ATLS_RELAY_HTTP_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * The head of a request to another machine, which must be answered before the
 * body is sent; value: of the header NGX_HTTP_ATLS_RELAY_HEADER.
 */

ngx_int_t ngx_http_atls_relay_http_head(ngx_http_atls_relay_t *relay,
    ngx_http_atls_post_t *post, ngx_str_t *value);

ngx_int_t ngx_http_atls_relay_http_create_request(ngx_http_request_t *r);
ngx_int_t ngx_http_atls_relay_http_reinit_request(ngx_http_request_t *r);
ngx_int_t ngx_http_atls_relay_http_process_status(ngx_http_request_t *r);
ngx_int_t ngx_http_atls_relay_http_filter_init(void *data);
ngx_int_t ngx_http_atls_relay_http_filter(void *data, ssize_t bytes);
void ngx_http_atls_relay_http_abort_request(ngx_http_request_t *r);
void ngx_http_atls_relay_http_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);


#endif /* _NGX_HTTP_ATLS_RELAY_HTTP_H_INCLUDED_ */
