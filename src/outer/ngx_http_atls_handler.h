
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#ifndef _NGX_HTTP_ATLS_HANDLER_H_INCLUDED_
#define _NGX_HTTP_ATLS_HANDLER_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * The content handler of a location with "atls on": takes outer POSTs, and
 * passes inner requests that are pinned to the location to its own handler.
 */

ngx_int_t ngx_http_atls_handler(ngx_http_request_t *r);

/* That of a request's body, if it is one of those for ATLS; else NULL. */

ngx_str_t *ngx_http_atls_media_type(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ATLS_HANDLER_H_INCLUDED_ */
