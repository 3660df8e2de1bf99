
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * How the session of an inner connection ends, if it does.
 */


#ifndef _NGX_HTTP_ATLS_INNER_END_H_INCLUDED_
#define _NGX_HTTP_ATLS_INNER_END_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"


/* The session ends with the request in progress. */

void ngx_http_atls_inner_last(ngx_http_atls_inner_t *inner);

/*
 * Whether there is to be no other request: as said by the function above, or as
 * the session is past its time.
 */

ngx_uint_t ngx_http_atls_inner_ends(ngx_http_atls_inner_t *inner);

/* Whether its response has begun, and lacks its end. */

ngx_uint_t ngx_http_atls_inner_half_answered(ngx_http_atls_inner_t *inner);

/* What it means for the session that the connection is closed. */

ngx_http_atls_end_e ngx_http_atls_inner_end(const ngx_http_atls_inner_t *inner);



#endif /* _NGX_HTTP_ATLS_INNER_END_H_INCLUDED_ */
