
/*
 * The header filter of responses to inner requests, and to outer requests at
 * endpoints.
 */


#ifndef _NGX_HTTP_ATLS_FILTER_H_INCLUDED_
#define _NGX_HTTP_ATLS_FILTER_H_INCLUDED_


#include "ngx_http_atls.h"


ngx_int_t ngx_http_atls_filter_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_ATLS_FILTER_H_INCLUDED_ */
