
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The end of a session, as caused by its inner connection. */


#ifndef _NGX_HTTP_ATLS_INNER_END_H_INCLUDED_
#define _NGX_HTTP_ATLS_INNER_END_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"


/* Closes the session after the request in progress. */

void ngx_http_atls_inner_last(ngx_http_atls_inner_t *inner);

/*
 * Whether no further request is allowed: after the function above, or when the
 * session has exceeded its time.
 */

ngx_uint_t ngx_http_atls_inner_ends(ngx_http_atls_inner_t *inner);

/* Whether a response is started and not complete. */

ngx_uint_t ngx_http_atls_inner_half_answered(ngx_http_atls_inner_t *inner);

/* Whether nginx has something to send that the POST has no room for. */

ngx_uint_t ngx_http_atls_inner_unsent(const ngx_http_atls_inner_t *inner);

/* How the session ends when the connection is closed. */

ngx_http_atls_end_e ngx_http_atls_inner_end(const ngx_http_atls_inner_t *inner);

/*
 * Whether an empty POST, which has no place in the client's stream, may have
 * been sent before the last data: then it does not get the end.
 */

ngx_uint_t ngx_http_atls_inner_overtaken(const ngx_http_atls_inner_t *inner);


#endif /* _NGX_HTTP_ATLS_INNER_END_H_INCLUDED_ */
