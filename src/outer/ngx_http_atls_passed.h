
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * atls_peer: POSTs that were relayed by another machine.  Its certificate was
 * verified by TLS; what it says about the client is believed.
 */


#ifndef _NGX_HTTP_ATLS_PASSED_H_INCLUDED_
#define _NGX_HTTP_ATLS_PASSED_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Prepares a location with "atls_peer on"; then, TLS to other machines, with
 * the certificate of its server.
 */

char *ngx_http_atls_passed_conf(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf);
ngx_int_t ngx_http_atls_passed_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_ATLS_PASSED_H_INCLUDED_ */
