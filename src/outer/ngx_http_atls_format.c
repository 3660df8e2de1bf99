
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_format.h"


#define NGX_HTTP_ATLS_FORMAT_BUFFER  16384
#define NGX_HTTP_ATLS_FORMAT_LINE    512

#define NGX_HTTP_ATLS_FORMAT_PREFIX  "nginx_atls_"


static void ngx_http_atls_format_print(ngx_http_atls_format_t *f,
    const char *fmt, ...);
static void ngx_http_atls_format_close(ngx_http_atls_format_t *f);
static void ngx_http_atls_format_help(ngx_http_atls_format_t *f,
    const char *type, const char *help);
static void ngx_http_atls_format_json(ngx_http_atls_format_t *f,
    const char *value, const char *value2, uint64_t n);
static void ngx_http_atls_format_bucket(ngx_http_atls_format_t *f,
    ngx_msec_t limit, uint64_t n);


void
ngx_http_atls_format_begin(ngx_http_atls_format_t *f, ngx_pool_t *pool,
    ngx_uint_t json)
{
    ngx_memzero(f, sizeof(ngx_http_atls_format_t));

    f->pool = pool;
    f->json = json;
    f->last = &f->out;

    if (json) {
        ngx_http_atls_format_print(f, "{");
    }
}


ngx_int_t
ngx_http_atls_format_end(ngx_http_atls_format_t *f)
{
    ngx_http_atls_format_close(f);

    if (f->json) {
        ngx_http_atls_format_print(f, "\n}\n");
    }

    if (f->error) {
        return NGX_ERROR;
    }

    f->length += f->buf->last - f->buf->pos;
    f->buf->last_in_chain = 1;

    return NGX_OK;
}


static void
ngx_http_atls_format_print(ngx_http_atls_format_t *f, const char *fmt, ...)
{
    va_list       args;
    ngx_chain_t  *cl;

    if (f->error) {
        return;
    }

    if (f->buf == NULL
        || f->buf->end - f->buf->last < NGX_HTTP_ATLS_FORMAT_LINE)
    {
        if (f->buf) {
            f->length += f->buf->last - f->buf->pos;
        }

        cl = ngx_alloc_chain_link(f->pool);
        f->buf = ngx_create_temp_buf(f->pool, NGX_HTTP_ATLS_FORMAT_BUFFER);

        if (cl == NULL || f->buf == NULL) {
            f->error = 1;
            return;
        }

        cl->buf = f->buf;
        cl->next = NULL;

        *f->last = cl;
        f->last = &cl->next;
    }

    va_start(args, fmt);
    f->buf->last = ngx_vslprintf(f->buf->last, f->buf->end, fmt, args);
    va_end(args);
}


void
ngx_http_atls_format_metric(ngx_http_atls_format_t *f, const char *name,
    const char *type, const char *help, const char *label, const char *label2)
{
    ngx_http_atls_format_close(f);

    f->name = name;
    f->label = label;
    f->label2 = label2;

    ngx_http_atls_format_help(f, type, help);
}


/* Closes the JSON objects of the previous metric. */

static void
ngx_http_atls_format_close(ngx_http_atls_format_t *f)
{
    if (f->json && f->name && f->label) {
        ngx_http_atls_format_print(f, f->group ? "}}" : "}");
    }

    f->name = NULL;
    f->group = NULL;
    f->values = 0;
}


static void
ngx_http_atls_format_help(ngx_http_atls_format_t *f, const char *type,
    const char *help)
{
    if (!f->json) {
        ngx_http_atls_format_print(f,
                                   "# HELP " NGX_HTTP_ATLS_FORMAT_PREFIX
                                   "%s %s\n"
                                   "# TYPE " NGX_HTTP_ATLS_FORMAT_PREFIX
                                   "%s %s\n", f->name, help, f->name, type);
        return;
    }

    ngx_http_atls_format_print(f, "%s\n  \"%s\": %s", f->metrics++ ? "," : "",
                               f->name, f->label ? "{" : "");
}


void
ngx_http_atls_format_value(ngx_http_atls_format_t *f, const char *value,
    const char *value2, uint64_t n)
{
    if (f->json) {
        ngx_http_atls_format_json(f, value, value2, n);
        return;
    }

    ngx_http_atls_format_print(f, NGX_HTTP_ATLS_FORMAT_PREFIX "%s", f->name);

    if (f->label2) {
        ngx_http_atls_format_print(f, "{%s=\"%s\",%s=\"%s\"}", f->label, value,
                                   f->label2, value2);

    } else if (f->label) {
        ngx_http_atls_format_print(f, "{%s=\"%s\"}", f->label, value);
    }

    ngx_http_atls_format_print(f, " %uL\n", n);
}


static void
ngx_http_atls_format_json(ngx_http_atls_format_t *f, const char *value,
    const char *value2, uint64_t n)
{
    if (f->label == NULL) {
        ngx_http_atls_format_print(f, "%uL", n);
        return;
    }

    if (f->label2 == NULL) {
        ngx_http_atls_format_print(f, "%s\"%s\": %uL", f->values++ ? ", " : "",
                                   value, n);
        return;
    }

    if (f->group == NULL || ngx_strcmp(f->group, value) != 0) {
        ngx_http_atls_format_print(f, "%s\"%s\": {", f->group ? "}, " : "",
                                   value);
        f->group = value;
        f->values = 0;
    }

    ngx_http_atls_format_print(f, "%s\"%s\": %uL", f->values++ ? ", " : "",
                               value2, n);
}


/* The count is that of the last bucket, so that they match. */

void
ngx_http_atls_format_histogram(ngx_http_atls_format_t *f, const char *name,
    const char *help, ngx_http_atls_histogram_t *histogram)
{
    uint64_t    n;
    ngx_uint_t  i;

    ngx_http_atls_format_metric(f, name, "histogram", help, NULL, NULL);

    if (f->json) {
        ngx_http_atls_format_print(f, "{\"buckets\": {");
    }

    n = 0;

    for (i = 0; i < NGX_HTTP_ATLS_BUCKETS; i++) {
        n += histogram->buckets[i];
        ngx_http_atls_format_bucket(f, ngx_http_atls_counters_limit(i), n);
    }

    if (f->json) {
        ngx_http_atls_format_print(f, "}, \"sum\": %uL.%03uL, \"count\": %uL}",
                                   histogram->sum / 1000,
                                   histogram->sum % 1000, n);
        return;
    }

    ngx_http_atls_format_print(f, NGX_HTTP_ATLS_FORMAT_PREFIX
                               "%s_sum %uL.%03uL\n", name,
                               histogram->sum / 1000, histogram->sum % 1000);
    ngx_http_atls_format_print(f, NGX_HTTP_ATLS_FORMAT_PREFIX
                               "%s_count %uL\n", name, n);
}


static void
ngx_http_atls_format_bucket(ngx_http_atls_format_t *f, ngx_msec_t limit,
    uint64_t n)
{
    u_char  *p, le[NGX_TIME_T_LEN + sizeof(".000")];

    if (limit == 0) {
        p = ngx_cpymem(le, "+Inf", 4);

    } else {
        p = ngx_sprintf(le, "%M.%03M", limit / 1000, limit % 1000);

        /* 0.005, 0.25, 1 */

        while (p[-1] == '0') {
            p--;
        }

        if (p[-1] == '.') {
            p--;
        }
    }

    if (f->json) {
        ngx_http_atls_format_print(f, "%s\"%*s\": %uL",
                                   f->values++ ? ", " : "", (size_t) (p - le),
                                   le, n);
        return;
    }

    ngx_http_atls_format_print(f, NGX_HTTP_ATLS_FORMAT_PREFIX
                               "%s_bucket{le=\"%*s\"} %uL\n", f->name,
                               (size_t) (p - le), le, n);
}
