
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Makes a location with "atls on" an endpoint, once its directives are merged.
 */


#ifndef _NGX_HTTP_ATLS_LOCATION_H_INCLUDED_
#define _NGX_HTTP_ATLS_LOCATION_H_INCLUDED_


#include "ngx_http_atls.h"


char *ngx_http_atls_location_enable(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);

/* For an "if" or "limit_except" block in any location. */

char *ngx_http_atls_location_block(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_http_atls_loc_conf_t *conf,
    ngx_http_atls_loc_conf_t *prev);

/*
 * After merging: initializes the blocks of endpoints, and common data of
 * endpoints.
 */

void ngx_http_atls_location_take_blocks(ngx_conf_t *cf);
ngx_int_t ngx_http_atls_location_check_events(ngx_conf_t *cf);


#endif /* _NGX_HTTP_ATLS_LOCATION_H_INCLUDED_ */
