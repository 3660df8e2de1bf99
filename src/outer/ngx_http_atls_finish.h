
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The end of a POST. */


#ifndef _NGX_HTTP_ATLS_FINISH_H_INCLUDED_
#define _NGX_HTTP_ATLS_FINISH_H_INCLUDED_


#include "ngx_http_atls.h"


/* Ends the response. */

void ngx_http_atls_finish(ngx_http_atls_post_t *post);

/*
 * Sets the status and the session cookie, if the response begins before the
 * end of the POST.
 */

ngx_int_t ngx_http_atls_finish_begin(ngx_http_atls_post_t *post);

/*
 * Ends a POST with a status or a problem, or with NGX_ERROR if the client is
 * gone.
 */

void ngx_http_atls_finish_error(ngx_http_atls_post_t *post, ngx_int_t status);

/* Called when the request ends, at any stage of the POST except for polls. */

void ngx_http_atls_finish_release(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_FINISH_H_INCLUDED_ */
