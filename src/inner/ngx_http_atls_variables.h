
/* The $atls_* variables of inner requests. */


#ifndef _NGX_HTTP_ATLS_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_ATLS_VARIABLES_H_INCLUDED_


#include "ngx_http_atls.h"


ngx_int_t ngx_http_atls_variables_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_ATLS_VARIABLES_H_INCLUDED_ */
