
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Parked inner connections: an incomplete request waits in this worker for the
 * next POST of the session.
 */


#ifndef _NGX_HTTP_ATLS_INNER_PARK_H_INCLUDED_
#define _NGX_HTTP_ATLS_INNER_PARK_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Parks an inner connection at the end of its POST.  If there are too many, the
 * oldest one is closed.
 */

void ngx_http_atls_inner_park(ngx_http_atls_inner_t *inner);

/* Removes any inner connection from the parked ones. */

void ngx_http_atls_inner_unpark(ngx_http_atls_inner_t *inner);

/*
 * Resumes the parked inner connection of the session, if any, with its next
 * POST.
 */

void ngx_http_atls_inner_resume(ngx_http_atls_post_t *post);

/*
 * Called when the POST ends before the inner connection, or when no further
 * POST will follow, as the client is gone.
 */

void ngx_http_atls_inner_abort(ngx_http_atls_inner_t *inner);


#endif /* _NGX_HTTP_ATLS_INNER_PARK_H_INCLUDED_ */
