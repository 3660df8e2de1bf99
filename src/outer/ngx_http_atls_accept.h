
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Whether a session may still be used: after a reload, its server may verify
 * clients in another way than in its handshake.
 */


#ifndef _NGX_HTTP_ATLS_ACCEPT_H_INCLUDED_
#define _NGX_HTTP_ATLS_ACCEPT_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_view.h"


/* Sets post->target and post->last, for the session that was taken. */

void ngx_http_atls_accept_look(ngx_http_atls_post_t *post);

/*
 * Afterwards: whether the client is accepted, or the server has a request of
 * it.  NGX_OK, or a problem.
 */

ngx_int_t ngx_http_atls_accept(ngx_http_atls_post_t *post);

/*
 * For a session that was not taken: whether the client is accepted.  Sets
 * post->target.
 */

ngx_uint_t ngx_http_atls_accept_view(ngx_http_atls_post_t *post,
    ngx_http_atls_view_t *view);

/* Logs that the client is not accepted, and returns the problem. */

ngx_int_t ngx_http_atls_accept_refuse(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_ACCEPT_H_INCLUDED_ */
