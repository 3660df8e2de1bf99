
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The session of a POST, and its inner connection, when the POST ends. */


#ifndef _NGX_HTTP_ATLS_FINISH_SESSION_H_INCLUDED_
#define _NGX_HTTP_ATLS_FINISH_SESSION_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Puts the session back, and parks the inner connection, if any.  NGX_ERROR,
 * logged: no room in the zone; the POST must be ended.  NGX_AGAIN: the session
 * is being put into the store, and the handler of post->putting will be called.
 */

ngx_int_t ngx_http_atls_finish_keep(ngx_http_atls_post_t *post);

/* Removes the session.  status: see ngx_http_atls_fate.h. */

void ngx_http_atls_finish_drop(ngx_http_atls_post_t *post, ngx_int_t status);

/* Puts a session that the POST has not used into the store again. */

void ngx_http_atls_finish_return(ngx_http_atls_post_t *post);

/* Closes the inner connection, if any. */

void ngx_http_atls_finish_abort_inner(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_FINISH_SESSION_H_INCLUDED_ */
