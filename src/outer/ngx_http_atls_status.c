
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_format.h"
#include "ngx_http_atls_metrics.h"
#include "ngx_http_atls_status.h"


typedef struct {
    ngx_str_t                   name;          /* of the argument */
    ngx_str_t                   accept;        /* in the Accept header */
    ngx_str_t                   type;
} ngx_http_atls_status_format_t;


static ngx_int_t ngx_http_atls_status_handler(ngx_http_request_t *r);
static ngx_http_atls_status_format_t *ngx_http_atls_status_format(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_status_headers(ngx_http_request_t *r);


/* In the order of preference. */

static ngx_http_atls_status_format_t  ngx_http_atls_status_formats[] = {

    { ngx_string("json"),
      ngx_string("application/json"),
      ngx_string("application/json") },

    { ngx_string("prometheus"),
      ngx_string("text/plain"),
      ngx_string("text/plain; version=0.0.4; charset=utf-8") },

    { ngx_null_string, ngx_null_string, ngx_null_string }
};

#define ngx_http_atls_status_json        (&ngx_http_atls_status_formats[0])
#define ngx_http_atls_status_prometheus  (&ngx_http_atls_status_formats[1])


char *
ngx_http_atls_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atls_loc_conf_t *alcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (alcf->status) {
        return "is duplicate";
    }

    alcf->status = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_atls_status_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_atls_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_http_atls_format_t          f;
    ngx_http_atls_main_conf_t      *amcf;
    ngx_http_atls_status_format_t  *format;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    format = ngx_http_atls_status_format(r);

    if (format == NULL) {
        return NGX_HTTP_BAD_REQUEST;
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atls_module);

    ngx_http_atls_format_begin(&f, r->pool,
                               format == ngx_http_atls_status_json);

    if (ngx_http_atls_metrics(amcf, &f) != NGX_OK
        || ngx_http_atls_status_headers(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = f.length;
    r->headers_out.content_type = format->type;
    r->headers_out.content_type_len = format->type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, f.out);
}


/* NULL: the argument is invalid. */

static ngx_http_atls_status_format_t *
ngx_http_atls_status_format(ngx_http_request_t *r)
{
    ngx_str_t                       arg;
    ngx_uint_t                      key;
    ngx_http_variable_value_t      *accept;
    ngx_http_atls_status_format_t  *format;

    static ngx_str_t  name = ngx_string("http_accept");

    if (ngx_http_arg(r, (u_char *) "format", 6, &arg) == NGX_OK) {

        for (format = ngx_http_atls_status_formats; format->name.len; format++)
        {
            if (format->name.len == arg.len
                && ngx_strncmp(format->name.data, arg.data, arg.len) == 0)
            {
                return format;
            }
        }

        return NULL;
    }

    key = ngx_hash_key(name.data, name.len);
    accept = ngx_http_get_variable(r, &name, key);

    if (accept == NULL || accept->not_found) {
        return ngx_http_atls_status_prometheus;
    }

    for (format = ngx_http_atls_status_formats; format->name.len; format++) {

        if (ngx_strlcasestrn(accept->data, accept->data + accept->len,
                             format->accept.data, format->accept.len - 1))
        {
            return format;
        }
    }

    return ngx_http_atls_status_prometheus;
}


static ngx_int_t
ngx_http_atls_status_headers(ngx_http_request_t *r)
{
    ngx_str_t  value;

    ngx_str_set(&value, "no-store");

    if (ngx_http_atls_add_header(r, "Cache-Control", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&value, "Accept");

    return ngx_http_atls_add_header(r, "Vary", &value);
}
