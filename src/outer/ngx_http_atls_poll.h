
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Polls: POSTs without data that wait for output of an inner connection
 * (atls_poll_timeout).  The session is not busy meanwhile: the inner connection
 * is parked, and any other POST can use it, which ends the wait.
 */


#ifndef _NGX_HTTP_ATLS_POLL_H_INCLUDED_
#define _NGX_HTTP_ATLS_POLL_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Whether an empty POST may get output of the inner connection: it is upgraded,
 * and its client does not poll with records.
 */

ngx_uint_t ngx_http_atls_poll_is_empty(ngx_http_atls_inner_t *inner);

/*
 * Whether the POST, whose inner connection is about to be parked, is a poll
 * that has to wait.
 */

ngx_uint_t ngx_http_atls_poll_waits(ngx_http_atls_post_t *post);

/* Puts the session back, and waits. */

void ngx_http_atls_poll(ngx_http_atls_post_t *post);

/*
 * Called when there is output, the inner connection is closed, another POST
 * uses it, or after the timeout.  NGX_OK: the session is taken again;
 * NGX_DONE: the POST is ended.
 */

ngx_int_t ngx_http_atls_poll_end(ngx_http_atls_post_t *post);

/*
 * Ends the wait without output, when the client is gone, or may be.  The
 * session is not taken any more.
 */

void ngx_http_atls_poll_leave(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_POLL_H_INCLUDED_ */
