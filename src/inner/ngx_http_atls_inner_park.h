
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Inner connections without a POST: a request that is not received to its end
 * waits in this worker until the session's next POST, which has it go on.
 */


#ifndef _NGX_HTTP_ATLS_INNER_PARK_H_INCLUDED_
#define _NGX_HTTP_ATLS_INNER_PARK_H_INCLUDED_


#include "ngx_http_atls.h"


/* The POST is over.  If too many wait, the one parked first is closed. */

void ngx_http_atls_inner_park(ngx_http_atls_inner_t *inner);

/* It does not wait any more; of any inner connection. */

void ngx_http_atls_inner_unpark(ngx_http_atls_inner_t *inner);

/* The session's next POST goes on with what is parked, if there is anything. */

void ngx_http_atls_inner_resume(ngx_http_atls_post_t *post);

/*
 * The POST is over before the inner connection is, or there is not going to be
 * one any more: the client has gone.
 */

void ngx_http_atls_inner_abort(ngx_http_atls_inner_t *inner);



#endif /* _NGX_HTTP_ATLS_INNER_PARK_H_INCLUDED_ */
