
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The status and the headers of the response to a POST. */


#ifndef _NGX_HTTP_ATLS_FINISH_HEADERS_H_INCLUDED_
#define _NGX_HTTP_ATLS_FINISH_HEADERS_H_INCLUDED_


#include "ngx_http_atls.h"


/* Sets the status, and what the client needs to use the session. */

ngx_int_t ngx_http_atls_finish_headers(ngx_http_atls_post_t *post);

/* The same for a response that is sent again. */

ngx_int_t ngx_http_atls_finish_retried(ngx_http_atls_post_t *post);

/* Expires the cookie. */

ngx_int_t ngx_http_atls_finish_expire(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_FINISH_HEADERS_H_INCLUDED_ */
