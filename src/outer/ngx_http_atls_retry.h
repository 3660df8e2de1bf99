
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * POSTs that are sent again, because their response was lost: they get the same
 * response, and are not processed.  The response is kept with the session, and
 * found by the fingerprint of the POST.
 */


#ifndef _NGX_HTTP_ATLS_RETRY_H_INCLUDED_
#define _NGX_HTTP_ATLS_RETRY_H_INCLUDED_


#include "ngx_http_atls.h"


/* Takes the first bytes of the fingerprint: the body begins with "data". */

void ngx_http_atls_retry_first(ngx_http_atls_post_t *post, u_char *data,
    size_t len);

/*
 * Whether the POST, which is not the next one, may be the last one of the
 * session again.  If so, it is marked, and the second function continues it.
 */

ngx_uint_t ngx_http_atls_retry_begins(ngx_http_atls_post_t *post);

/*
 * The same in a handshake, whose next POST may begin with the same bytes, and
 * is not authenticated.  So the end is compared as well, unless the body is
 * longer than a record.  NGX_OK: it is marked; NGX_AGAIN: more of the body is
 * required; NGX_DECLINED: it is another POST; otherwise a status.
 */

ngx_int_t ngx_http_atls_retry_flight(ngx_http_atls_post_t *post);

/*
 * Reads the rest of the body, and looks for the response; the session is not
 * taken.  NGX_DONE: it is in the answer; NGX_AGAIN: more of the body is
 * required; NGX_BUSY: the session is in use; NGX_DECLINED: it is another POST;
 * NGX_ABORT: the session is gone; otherwise a status or a problem.
 */

ngx_int_t ngx_http_atls_retry(ngx_http_atls_post_t *post);

/*
 * The response to be kept when the session is put back; NULL: the previous one
 * remains.
 */

ngx_http_atls_response_t *ngx_http_atls_retry_response(
    ngx_http_atls_post_t *post, ngx_http_atls_response_t *response);


#endif /* _NGX_HTTP_ATLS_RETRY_H_INCLUDED_ */
