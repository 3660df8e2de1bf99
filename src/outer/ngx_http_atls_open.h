
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Opens an established session for a POST.  The POST may be from anybody who
 * has the cookie, so nothing of the session changes before its first record has
 * turned out to be the next one of the session.
 */


#ifndef _NGX_HTTP_ATLS_OPEN_H_INCLUDED_
#define _NGX_HTTP_ATLS_OPEN_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Whether the client may still use the session, and the server has a request of
 * it.  NGX_OK, or a problem.
 */

ngx_int_t ngx_http_atls_open_check(ngx_http_atls_post_t *post);

/*
 * Opens the session: for the rest of a POST that has finished the handshake, or
 * to send the alert of a session that has ended.  NGX_OK, or a status or a
 * problem.
 */

ngx_int_t ngx_http_atls_open(ngx_http_atls_post_t *post);

/*
 * Opens the session if the body, which is not empty, begins with the next
 * record.  NGX_AGAIN: more of the body is required; NGX_DONE: the body is a
 * part of a record, which is stored; otherwise a status or a problem.
 */

ngx_int_t ngx_http_atls_open_first(ngx_http_atls_post_t *post);

/*
 * Stores a part of a record, until the next POST; the body has ended.
 * NGX_DONE, or a problem: the previous part remains.
 */

ngx_int_t ngx_http_atls_open_store(ngx_http_atls_post_t *post, u_char *data,
    size_t len);


#endif /* _NGX_HTTP_ATLS_OPEN_H_INCLUDED_ */
