
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_cors.h"


/*
 * The result of a preflight request is stored by browsers for each URI.  Two
 * hours are the maximum of Chromium.
 */

#define NGX_HTTP_ATLS_CORS_MAX_AGE  "7200"


static ngx_int_t ngx_http_atls_cors_add(ngx_conf_t *cf,
    ngx_http_atls_cors_t *cors, ngx_str_t *origin);
static ngx_uint_t ngx_http_atls_cors_valid(ngx_str_t *origin);
static ngx_uint_t ngx_http_atls_cors_port(ngx_str_t *scheme, u_char *p,
    u_char *last);
static ngx_str_t *ngx_http_atls_cors_match(ngx_http_atls_cors_t *cors,
    ngx_str_t *origin);
static ngx_str_t *ngx_http_atls_cors_header(ngx_http_request_t *r,
    const char *name);


char *
ngx_http_atls_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atls_loc_conf_t *alcf = conf;

    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_http_atls_cors_t  *cors;

    if (alcf->cors != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        alcf->cors = NULL;
        return ngx_http_atls_note(cf, NULL, NULL);
    }

    cors = ngx_pcalloc(cf->pool, sizeof(ngx_http_atls_cors_t));

    if (cors == NULL
        || ngx_array_init(&cors->origins, cf->pool, cf->args->nelts,
                          sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    alcf->cors = cors;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "*") == 0) {
        cors->any = 1;
        return ngx_http_atls_note(cf, NULL, NULL);
    }

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_atls_cors_add(cf, cors, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_atls_note(cf, NULL, NULL);
}


static ngx_int_t
ngx_http_atls_cors_add(ngx_conf_t *cf, ngx_http_atls_cors_t *cors,
    ngx_str_t *origin)
{
    ngx_str_t  *added;

    if (!ngx_http_atls_cors_valid(origin)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid origin \"%V\", use \"scheme://host[:port]\""
                           " in lower case, without a default port", origin);
        return NGX_ERROR;
    }

    if (ngx_http_atls_cors_match(cors, origin)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate origin \"%V\"", origin);
        return NGX_ERROR;
    }

    added = ngx_array_push(&cors->origins);
    if (added == NULL) {
        return NGX_ERROR;
    }

    *added = *origin;

    return NGX_OK;
}


/*
 * As browsers send it, RFC 6454, section 6.2: other spellings would never be
 * equal.  "null" is sent by any page that wants to, so it is like "*".
 */

static ngx_uint_t
ngx_http_atls_cors_valid(ngx_str_t *origin)
{
    u_char     *p, *last;
    ngx_str_t   scheme;
    ngx_uint_t  address;

    p = origin->data;
    last = p + origin->len;

    scheme.data = p;

    while (p < last && ((*p >= 'a' && *p <= 'z')
                        || (p > origin->data
                            && ((*p >= '0' && *p <= '9')
                                || *p == '+' || *p == '-' || *p == '.'))))
    {
        p++;
    }

    scheme.len = p - scheme.data;

    if (scheme.len == 0 || last - p < 4 || ngx_strncmp(p, "://", 3) != 0) {
        return 0;
    }

    p += 3;

    address = (*p == '[');

    if (address) {
        while (++p < last && (ngx_strchr("abcdef:.", *p)
                              || (*p >= '0' && *p <= '9')))
        {
            /* void */
        }

        if (p == last || *p++ != ']') {
            return 0;
        }

    } else {
        while (p < last && ((*p >= 'a' && *p <= 'z')
                            || (*p >= '0' && *p <= '9')
                            || *p == '-' || *p == '.' || *p == '_'))
        {
            p++;
        }

        if (p == scheme.data + scheme.len + 3) {
            return 0;
        }
    }

    return p == last || ngx_http_atls_cors_port(&scheme, p, last);
}


static ngx_uint_t
ngx_http_atls_cors_port(ngx_str_t *scheme, u_char *p, u_char *last)
{
    ngx_int_t  port;

    if (*p++ != ':' || p == last || *p == '0') {
        return 0;
    }

    port = ngx_atoi(p, last - p);

    if (port < 1 || port > 65535) {
        return 0;
    }

    return !(port == 80 && scheme->len == 4
             && ngx_strncmp(scheme->data, "http", 4) == 0)
           && !(port == 443 && scheme->len == 5
                && ngx_strncmp(scheme->data, "https", 5) == 0);
}


static ngx_str_t *
ngx_http_atls_cors_match(ngx_http_atls_cors_t *cors, ngx_str_t *origin)
{
    ngx_str_t   *allowed;
    ngx_uint_t   i;

    allowed = cors->origins.elts;

    for (i = 0; i < cors->origins.nelts; i++) {

        if (allowed[i].len == origin->len
            && ngx_strncmp(allowed[i].data, origin->data, origin->len) == 0)
        {
            return &allowed[i];
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_atls_cors_preflight(ngx_http_request_t *r, ngx_http_atls_cors_t *cors)
{
    ngx_str_t  *origin;

    if (r->method != NGX_HTTP_OPTIONS) {
        return 0;
    }

    origin = ngx_http_atls_cors_header(r, "origin");

    if (origin == NULL
        || ngx_http_atls_cors_header(r, "access-control-request-method")
           == NULL)
    {
        return 0;
    }

    if (cors->any || ngx_http_atls_cors_match(cors, origin)) {
        return 1;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "atls origin \"%*s\" is not allowed by \"atls_cors\"",
                  ngx_http_atls_label_len(origin), origin->data);

    return 0;
}


/* NULL if there are several: a browser sends one. */

static ngx_str_t *
ngx_http_atls_cors_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    len = ngx_strlen(name);
    value = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (header[i].key.len != len
                || ngx_strncmp(header[i].lowcase_key, name, len) != 0)
            {
                continue;
            }

            if (value) {
                return NULL;
            }

            value = &header[i].value;
        }
    }

    return value;
}


ngx_int_t
ngx_http_atls_cors_headers(ngx_http_request_t *r,
    ngx_http_atls_loc_conf_t *conf)
{
    ngx_uint_t             i, n;
    ngx_str_t             *origin;
    ngx_http_atls_cors_t  *cors;

    struct {
        const char        *name;
        ngx_str_t          value;
    } headers[] = {
        { "Access-Control-Allow-Origin", ngx_string("*") },
        { "Access-Control-Expose-Headers",
          ngx_string("Location, Retry-After") },
        { "Access-Control-Allow-Methods", ngx_string("POST") },
        { "Access-Control-Allow-Headers", ngx_string("Content-Type") },
        { "Access-Control-Max-Age", ngx_string(NGX_HTTP_ATLS_CORS_MAX_AGE) }
    };

    cors = conf->cors;

    ngx_http_atls_remove_headers(r, "Access-Control-");

    if (!cors->any) {
        ngx_str_set(&headers[0].value, "Origin");

        if (ngx_http_atls_add_header(r, "Vary", &headers[0].value) != NGX_OK) {
            return NGX_ERROR;
        }

        origin = ngx_http_atls_cors_header(r, "origin");

        if (origin) {
            origin = ngx_http_atls_cors_match(cors, origin);
        }

        if (origin == NULL) {
            return NGX_OK;
        }

        headers[0].value = *origin;
    }

    if (conf->exported_keys) {
        ngx_str_set(&headers[3].value, "Content-Encoding, Content-Type");
    }

    n = r->headers_out.status == NGX_HTTP_NO_CONTENT ? 5 : 2;

    for (i = 0; i < n; i++) {
        if (ngx_http_atls_add_header(r, headers[i].name, &headers[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
