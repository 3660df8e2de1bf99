
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Metrics as text: the exposition format 0.0.4 of Prometheus, or JSON.  The
 * name of a metric in JSON has no prefix; labels are keys of nested objects.
 */


#ifndef _NGX_HTTP_ATLS_FORMAT_H_INCLUDED_
#define _NGX_HTTP_ATLS_FORMAT_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_counters.h"


typedef struct {
    ngx_pool_t                 *pool;
    ngx_uint_t                  json;
    ngx_chain_t                *out;
    ngx_chain_t               **last;
    ngx_buf_t                  *buf;
    off_t                       length;

    const char                 *name;          /* of the current metric */
    const char                 *label;
    const char                 *label2;
    const char                 *group;         /* value of the first label */
    ngx_uint_t                  metrics;
    ngx_uint_t                  values;
    ngx_uint_t                  error;
} ngx_http_atls_format_t;


void ngx_http_atls_format_begin(ngx_http_atls_format_t *f, ngx_pool_t *pool,
    ngx_uint_t json);

/* NGX_ERROR: no memory; otherwise f->out and f->length. */

ngx_int_t ngx_http_atls_format_end(ngx_http_atls_format_t *f);

/*
 * A metric with up to two labels, and its values.  Values with the same first
 * label follow each other.  The type is "gauge" or "counter".
 */

void ngx_http_atls_format_metric(ngx_http_atls_format_t *f, const char *name,
    const char *type, const char *help, const char *label, const char *label2);
void ngx_http_atls_format_value(ngx_http_atls_format_t *f, const char *value,
    const char *value2, uint64_t n);

/* A metric of type "histogram", without labels. */

void ngx_http_atls_format_histogram(ngx_http_atls_format_t *f,
    const char *name, const char *help, ngx_http_atls_histogram_t *histogram);


#endif /* _NGX_HTTP_ATLS_FORMAT_H_INCLUDED_ */
