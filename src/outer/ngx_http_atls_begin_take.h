
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The session named by a POST that begins, post->session: taken when it is
 * needed, and put back when the client is awaited.  In this stage, it is not
 * held between two calls of ngx_http_atls_begin().
 */


#ifndef _NGX_HTTP_ATLS_BEGIN_TAKE_H_INCLUDED_
#define _NGX_HTTP_ATLS_BEGIN_TAKE_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Takes the session again, if it exists.  NGX_OK: see post->take; NGX_BUSY: it
 * may become free; NGX_DECLINED: it belongs to another worker; NGX_AGAIN: the
 * store is asked, and the event of the POST is called.
 */

ngx_int_t ngx_http_atls_begin_take(ngx_http_atls_post_t *post);

/*
 * If it is busy.  NGX_AGAIN: the POST has to look at it again, when its timer
 * expires; NGX_OK: it has waited long enough.
 */

ngx_int_t ngx_http_atls_begin_wait(ngx_http_atls_post_t *post);

/* Puts the session back, unchanged, if it is taken. */

void ngx_http_atls_begin_release(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_BEGIN_TAKE_H_INCLUDED_ */
