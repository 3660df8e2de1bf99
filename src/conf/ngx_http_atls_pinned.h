
/*
 * Whether inner requests are processed in a location with "atls on" itself, or
 * routed to others.
 */


#ifndef _NGX_HTTP_ATLS_PINNED_H_INCLUDED_
#define _NGX_HTTP_ATLS_PINNED_H_INCLUDED_


#include "ngx_http_atls.h"


/* Whether the location being merged has a content handler or "return". */

ngx_uint_t ngx_http_atls_pinned(ngx_conf_t *cf);

/*
 * For a location without one: logs a warning if one seems to be missing, since
 * inner requests routed to the location get 404.
 */

void ngx_http_atls_pinned_warn(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);


#endif /* _NGX_HTTP_ATLS_PINNED_H_INCLUDED_ */
