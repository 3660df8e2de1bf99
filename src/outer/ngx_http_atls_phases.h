
/*
 * Phase handlers: count inner requests, set the location of pinned ones, skip
 * rewrite directives for outer POSTs, and check atls_required.
 */


#ifndef _NGX_HTTP_ATLS_PHASES_H_INCLUDED_
#define _NGX_HTTP_ATLS_PHASES_H_INCLUDED_


#include "ngx_http_atls.h"


ngx_int_t ngx_http_atls_phases_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_ATLS_PHASES_H_INCLUDED_ */
