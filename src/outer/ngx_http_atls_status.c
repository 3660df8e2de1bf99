
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_format.h"
#include "ngx_http_atls_metrics.h"
#include "ngx_http_atls_page.h"
#include "ngx_http_atls_status.h"


typedef struct {
    ngx_str_t                   name;          /* of the argument */
    ngx_str_t                   accept;        /* in the Accept header */
    ngx_str_t                   type;
} ngx_http_atls_status_format_t;


typedef struct {
    const char                 *key;
    ngx_str_t                   value;
} ngx_http_atls_status_header_t;


static ngx_int_t ngx_http_atls_status_handler(ngx_http_request_t *r);
static ngx_http_atls_status_format_t *ngx_http_atls_status_format(
    ngx_http_request_t *r);
static ngx_http_atls_status_format_t *ngx_http_atls_status_accept(u_char *p,
    u_char *last);
static ngx_http_atls_status_format_t *ngx_http_atls_status_type(u_char *type,
    size_t len);
static ngx_uint_t ngx_http_atls_status_quality(u_char *p, u_char *last);
static ngx_chain_t *ngx_http_atls_status_metrics(ngx_http_request_t *r,
    ngx_uint_t json, off_t *length);
static ngx_int_t ngx_http_atls_status_headers(ngx_http_request_t *r);


static ngx_http_atls_status_format_t  ngx_http_atls_status_formats[] = {

    { ngx_string("prometheus"),
      ngx_string("text/plain"),
      ngx_string("text/plain; version=0.0.4; charset=utf-8") },

    { ngx_string("json"),
      ngx_string("application/json"),
      ngx_string("application/json") },

    { ngx_string("html"),
      ngx_string("text/html"),
      ngx_string("text/html; charset=utf-8") },

    { ngx_null_string, ngx_null_string, ngx_null_string }
};

#define ngx_http_atls_status_prometheus  (&ngx_http_atls_status_formats[0])
#define ngx_http_atls_status_json        (&ngx_http_atls_status_formats[1])
#define ngx_http_atls_status_html        (&ngx_http_atls_status_formats[2])


/* Of all formats. */

static ngx_http_atls_status_header_t  ngx_http_atls_status_header[] = {
    { "Cache-Control", ngx_string("no-store") },
    { "Vary", ngx_string("Accept") },
    { "X-Content-Type-Options", ngx_string("nosniff") },
    { NULL, ngx_null_string }
};


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
    off_t                           length;
    ngx_int_t                       rc;
    ngx_chain_t                    *out;
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

    if (format == ngx_http_atls_status_html) {
        out = ngx_http_atls_page(r, &length);

    } else {
        out = ngx_http_atls_status_metrics(r,
                                           format == ngx_http_atls_status_json,
                                           &length);
    }

    if (out == NULL || ngx_http_atls_status_headers(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = length;
    r->headers_out.content_type = format->type;
    r->headers_out.content_type_len = format->accept.len;
    r->headers_out.content_type_lowcase = NULL;

    /* there are no validators: core would respond with 412 */

    r->disable_not_modified = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out);
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

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls client requested metrics in unknown format \"%*s\"",
                      ngx_http_atls_label_len(&arg), arg.data);

        return NULL;
    }

    key = ngx_hash_key(name.data, name.len);
    accept = ngx_http_get_variable(r, &name, key);

    if (accept == NULL || accept->not_found) {
        return ngx_http_atls_status_prometheus;
    }

    return ngx_http_atls_status_accept(accept->data,
                                       accept->data + accept->len);
}


/*
 * The format with the highest quality; of equal ones, the first.  Clients send
 * "any type" to get the default, unless there is a format as good.
 */

static ngx_http_atls_status_format_t *
ngx_http_atls_status_accept(u_char *p, u_char *last)
{
    u_char                         *end, *next;
    ngx_uint_t                      rank, best;
    ngx_http_atls_status_format_t  *format, *chosen;

    best = 0;
    chosen = ngx_http_atls_status_prometheus;

    for ( /* void */ ; p < last; p = next + 1) {

        next = ngx_strlchr(p, last, ',');

        if (next == NULL) {
            next = last;
        }

        while (p < next && (*p == ' ' || *p == '\t')) {
            p++;
        }

        for (end = p; end < next; end++) {
            if (*end == ';' || *end == ' ' || *end == '\t') {
                break;
            }
        }

        rank = 2 * ngx_http_atls_status_quality(end, next);

        if (end - p == 3 && *p == '*') {
            format = ngx_http_atls_status_prometheus;

        } else {
            format = ngx_http_atls_status_type(p, end - p);
            rank += (rank != 0);
        }

        if (format && rank > best) {
            best = rank;
            chosen = format;
        }
    }

    return chosen;
}


static ngx_http_atls_status_format_t *
ngx_http_atls_status_type(u_char *type, size_t len)
{
    ngx_http_atls_status_format_t  *format;

    for (format = ngx_http_atls_status_formats; format->name.len; format++) {

        if (format->accept.len == len
            && ngx_strncasecmp(format->accept.data, type, len) == 0)
        {
            return format;
        }
    }

    return NULL;
}


/* The parameter "q" in thousandths; 0: invalid. */

static ngx_uint_t
ngx_http_atls_status_quality(u_char *p, u_char *last)
{
    u_char     *end;
    ngx_int_t   q;

    for ( ;; ) {
        p = ngx_strlchr(p, last, ';');

        if (p == NULL) {
            return 1000;
        }

        do {
            p++;
        } while (p < last && (*p == ' ' || *p == '\t'));

        if (last - p >= 2 && ngx_tolower(*p) == 'q' && p[1] == '=') {
            p += 2;
            break;
        }
    }

    for (end = p; end < last; end++) {
        if (*end == ';' || *end == ' ' || *end == '\t') {
            break;
        }
    }

    q = ngx_atofp(p, end - p, 3);

    return (q == NGX_ERROR) ? 0 : ngx_min(q, 1000);
}


static ngx_chain_t *
ngx_http_atls_status_metrics(ngx_http_request_t *r, ngx_uint_t json,
    off_t *length)
{
    ngx_http_atls_format_t      f;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atls_module);

    ngx_http_atls_format_begin(&f, r->pool, json);

    if (ngx_http_atls_metrics(amcf, &f) != NGX_OK) {
        return NULL;
    }

    f.buf->last_buf = (r == r->main) ? 1 : 0;

    *length = f.length;

    return f.out;
}


static ngx_int_t
ngx_http_atls_status_headers(ngx_http_request_t *r)
{
    ngx_uint_t  i;

    for (i = 0; ngx_http_atls_status_header[i].key; i++) {

        if (ngx_http_atls_add_header(r, ngx_http_atls_status_header[i].key,
                                     &ngx_http_atls_status_header[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
