
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The start of a POST: a ClientHello, which creates a new session, or data of
 * the session taken for it.
 */


#ifndef _NGX_HTTP_ATLS_BEGIN_H_INCLUDED_
#define _NGX_HTTP_ATLS_BEGIN_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * The first stage of a POST.  NGX_OK: complete; NGX_AGAIN: more of the body is
 * required, or the session is in use, and post->event is set; NGX_DONE: there
 * is nothing to do; otherwise a status or a problem.
 */

ngx_int_t ngx_http_atls_begin(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_BEGIN_H_INCLUDED_ */
