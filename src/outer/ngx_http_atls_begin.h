
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * What a POST begins with: a ClientHello, which makes a new session, or bytes
 * of the session that was taken for it.
 */


#ifndef _NGX_HTTP_ATLS_BEGIN_H_INCLUDED_
#define _NGX_HTTP_ATLS_BEGIN_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * The first stage of a POST.  NGX_OK: it is over; NGX_AGAIN: more of the body
 * has to come; else a status or a problem.
 */

ngx_int_t ngx_http_atls_begin(ngx_http_atls_post_t *post);

/* Sets post->target, of where it has come to and a name that was asked for. */

void ngx_http_atls_begin_target(ngx_http_atls_post_t *post, ngx_str_t *name);

/* The session is an established one: begins to use its state. */

ngx_int_t ngx_http_atls_begin_open(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_BEGIN_H_INCLUDED_ */
