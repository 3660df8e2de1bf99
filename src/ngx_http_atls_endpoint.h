
/*
 * What a location with "atls on" is known by, to sessions and to other worker
 * processes.
 */


#ifndef _NGX_HTTP_ATLS_ENDPOINT_H_INCLUDED_
#define _NGX_HTTP_ATLS_ENDPOINT_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Makes conf->location and conf->endpoint, and puts the location among those
 * of its server and of all servers.
 */

ngx_int_t ngx_http_atls_endpoint_add(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);

/* The location with "atls on" that is the same one in another server. */

ngx_http_atls_endpoint_t *ngx_http_atls_endpoint_find(
    ngx_http_core_srv_conf_t *server, uint64_t location);


#endif /* _NGX_HTTP_ATLS_ENDPOINT_H_INCLUDED_ */
