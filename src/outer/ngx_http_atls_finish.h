
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * How a POST ends, and what becomes of its session.
 */


#ifndef _NGX_HTTP_ATLS_FINISH_H_INCLUDED_
#define _NGX_HTTP_ATLS_FINISH_H_INCLUDED_


#include "ngx_http_atls.h"


/* The response can be ended. */

void ngx_http_atls_finish(ngx_http_atls_post_t *post);

/* Before anything is sent: the status, and the session's cookie. */

ngx_int_t ngx_http_atls_finish_headers(ngx_http_atls_post_t *post);

/*
 * The POST can't go on: a status or a problem, or NGX_ERROR when there is
 * nobody to tell.
 */

void ngx_http_atls_finish_error(ngx_http_atls_post_t *post, ngx_int_t status);

/* The request ends, whatever the POST is in the middle of. */

void ngx_http_atls_finish_release(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_FINISH_H_INCLUDED_ */
