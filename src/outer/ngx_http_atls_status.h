
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* atls_status: metrics, and a page with charts of them. */


#ifndef _NGX_HTTP_ATLS_STATUS_H_INCLUDED_
#define _NGX_HTTP_ATLS_STATUS_H_INCLUDED_


#include "ngx_http_atls.h"


/* The handler of the directive. */

char *ngx_http_atls_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_HTTP_ATLS_STATUS_H_INCLUDED_ */
