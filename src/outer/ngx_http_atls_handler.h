
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#ifndef _NGX_HTTP_ATLS_HANDLER_H_INCLUDED_
#define _NGX_HTTP_ATLS_HANDLER_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * The content handler of a location with "atls on": processes outer POSTs, and
 * passes inner requests pinned to the location to its content handler.
 */

ngx_int_t ngx_http_atls_handler(ngx_http_request_t *r);

/* The media type of the request body, if it is one of ATLS; otherwise NULL. */

ngx_str_t *ngx_http_atls_media_type(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ATLS_HANDLER_H_INCLUDED_ */
