
/*
 * Whether a location with "atls on" serves inner requests itself, or they are
 * routed to others.
 */


#ifndef _NGX_HTTP_ATLS_PINNED_H_INCLUDED_
#define _NGX_HTTP_ATLS_PINNED_H_INCLUDED_


#include "ngx_http_atls.h"


/* Has the location that is being merged something that answers requests? */

ngx_uint_t ngx_http_atls_pinned(ngx_conf_t *cf);

/*
 * Of a location that has not: warns if it looks as if it should have, since
 * inner requests that come back to it are answered 404.
 */

void ngx_http_atls_pinned_warn(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);


#endif /* _NGX_HTTP_ATLS_PINNED_H_INCLUDED_ */
