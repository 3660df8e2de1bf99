
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The metrics of atls_status: names, labels and values. */


#ifndef _NGX_HTTP_ATLS_METRICS_H_INCLUDED_
#define _NGX_HTTP_ATLS_METRICS_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_format.h"


/* Writes all metrics.  NGX_ERROR: no memory. */

ngx_int_t ngx_http_atls_metrics(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_format_t *f);


#endif /* _NGX_HTTP_ATLS_METRICS_H_INCLUDED_ */
