
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_id.h"


static ngx_uint_t ngx_http_atls_cookie_token(ngx_str_t *name);
static ngx_uint_t ngx_http_atls_cookie_text(ngx_str_t *value);
static ngx_int_t ngx_http_atls_cookie_parameter(ngx_str_t *arg,
    ngx_http_atls_cookie_t *cookie);
static ngx_uint_t ngx_http_atls_cookie_line(ngx_http_atls_cookies_t *cookies);


char *
ngx_http_atls_cookie(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atls_loc_conf_t *alcf = conf;

    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_http_atls_cookie_t  *cookie;

    cookie = &alcf->cookie;

    if (cookie->name.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!ngx_http_atls_cookie_token(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid cookie name \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    cookie->name = value[1];

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_atls_cookie_parameter(&value[i], cookie) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_atls_note(cf, NULL, NULL);
}


/* RFC 6265, section 4.1.1: a token of RFC 9110, section 5.6.2. */

static ngx_uint_t
ngx_http_atls_cookie_token(ngx_str_t *name)
{
    u_char   ch;
    size_t   i;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if (ch <= 0x20 || ch >= 0x7f
            || ngx_strchr("()<>@,;:\\\"/[]?={}", ch))
        {
            return 0;
        }
    }

    return name->len != 0;
}


static ngx_uint_t
ngx_http_atls_cookie_text(ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] <= 0x20 || value->data[i] >= 0x7f
            || value->data[i] == ';')
        {
            return 0;
        }
    }

    return value->len != 0;
}


static ngx_int_t
ngx_http_atls_cookie_parameter(ngx_str_t *arg, ngx_http_atls_cookie_t *cookie)
{
    ngx_str_t  value;

    if (ngx_strcmp(arg->data, "secure") == 0) {
        cookie->secure = 1;
        return NGX_OK;
    }

    if (ngx_strncmp(arg->data, "path=", 5) == 0) {
        value.data = arg->data + 5;
        value.len = arg->len - 5;
        cookie->path = value;

        return (ngx_http_atls_cookie_text(&value) && value.data[0] == '/')
               ? NGX_OK : NGX_ERROR;
    }

    if (ngx_strncmp(arg->data, "domain=", 7) == 0) {
        value.data = arg->data + 7;
        value.len = arg->len - 7;
        cookie->domain = value;

        return ngx_http_atls_cookie_text(&value) ? NGX_OK : NGX_ERROR;
    }

    if (ngx_strcmp(arg->data, "samesite=strict") == 0) {
        ngx_str_set(&cookie->samesite, "Strict");
        return NGX_OK;
    }

    if (ngx_strcmp(arg->data, "samesite=lax") == 0) {
        ngx_str_set(&cookie->samesite, "Lax");
        return NGX_OK;
    }

    if (ngx_strcmp(arg->data, "samesite=none") == 0) {
        ngx_str_set(&cookie->samesite, "None");
        return NGX_OK;
    }

    return NGX_ERROR;
}


void
ngx_http_atls_cookie_merge(ngx_http_atls_cookie_t *conf,
    ngx_http_atls_cookie_t *prev)
{
    if (conf->name.data) {
        return;
    }

    if (prev->name.data) {
        *conf = *prev;
        return;
    }

    ngx_str_set(&conf->name, "atls");
}


ngx_int_t
ngx_http_atls_cookie_conf(ngx_conf_t *cf, ngx_http_atls_cookie_t *cookie)
{
    u_char                    *p;
    ngx_str_t                  path;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    path = cookie->path;

    if (path.len == 0) {
        path = clcf->name;

        if (clcf->named) {
            ngx_str_set(&path, "/");
        }

#if (NGX_PCRE)
        if (clcf->regex) {
            ngx_str_set(&path, "/");
        }
#endif
    }

    p = ngx_pnalloc(cf->pool,
                    sizeof("; Path=; Domain=; HttpOnly; SameSite=; Secure")
                    + path.len + cookie->domain.len + cookie->samesite.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    cookie->attributes.data = p;

    p = ngx_sprintf(p, "; Path=%V", &path);

    if (cookie->domain.len) {
        p = ngx_sprintf(p, "; Domain=%V", &cookie->domain);
    }

    p = ngx_cpymem(p, "; HttpOnly", sizeof("; HttpOnly") - 1);

    if (cookie->samesite.len) {
        p = ngx_sprintf(p, "; SameSite=%V", &cookie->samesite);
    }

    if (cookie->secure) {
        p = ngx_cpymem(p, "; Secure", sizeof("; Secure") - 1);
    }

    cookie->attributes.len = p - cookie->attributes.data;

    return NGX_OK;
}


void
ngx_http_atls_cookies(ngx_http_request_t *r, ngx_str_t *name,
    ngx_http_atls_cookies_t *cookies)
{
    cookies->name = name;
    cookies->part = &r->headers_in.headers.part;
    cookies->next = 0;
    cookies->pos = NULL;
    cookies->last = NULL;
}


ngx_uint_t
ngx_http_atls_cookie_next(ngx_http_atls_cookies_t *cookies, ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_str_t  *name;

    name = cookies->name;

    for ( ;; ) {

        while (cookies->pos < cookies->last) {
            p = cookies->pos;

            last = ngx_strlchr(p, cookies->last, ';');
            if (last == NULL) {
                last = cookies->last;
            }

            cookies->pos = last + 1;

            while (p < last && (*p == ' ' || *p == '\t')) { p++; }

            while (p < last && (last[-1] == ' ' || last[-1] == '\t')) {
                last--;
            }

            if ((size_t) (last - p) > name->len && p[name->len] == '='
                && ngx_strncmp(p, name->data, name->len) == 0)
            {
                value->data = p + name->len + 1;
                value->len = last - value->data;

                return 1;
            }
        }

        if (!ngx_http_atls_cookie_line(cookies)) {
            return 0;
        }
    }
}


static ngx_uint_t
ngx_http_atls_cookie_line(ngx_http_atls_cookies_t *cookies)
{
    ngx_table_elt_t  *header;

    for ( ;; ) {

        if (cookies->next == cookies->part->nelts) {
            if (cookies->part->next == NULL) {
                return 0;
            }

            cookies->part = cookies->part->next;
            cookies->next = 0;
            continue;
        }

        header = (ngx_table_elt_t *) cookies->part->elts + cookies->next++;

        if (header->key.len == sizeof("Cookie") - 1
            && ngx_strncasecmp(header->key.data, (u_char *) "Cookie",
                               sizeof("Cookie") - 1)
               == 0)
        {
            cookies->pos = header->value.data;
            cookies->last = header->value.data + header->value.len;

            return 1;
        }
    }
}


ngx_uint_t
ngx_http_atls_cookie_has(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_str_t                sent;
    ngx_http_atls_cookies_t  cookies;

    ngx_http_atls_cookies(r, name, &cookies);

    while (ngx_http_atls_cookie_next(&cookies, &sent)) {

        if (sent.len == value->len
            && ngx_memcmp(sent.data, value->data, value->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_atls_cookie_header(ngx_http_request_t *r,
    ngx_http_atls_cookie_t *cookie, u_char *id, u_char *tag, time_t age,
    ngx_uint_t secure, ngx_str_t *value)
{
    u_char                      buf[NGX_HTTP_ATLS_ID_TEXT_LEN], *p;
    ngx_str_t                   text;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atls_module);

    text.len = id ? sizeof(buf) : 0;
    text.data = buf;

    if (id && ngx_http_atls_id_encode(amcf->zone, id, tag, buf,
                                      r->connection->log)
              != NGX_OK)
    {
        return NGX_ERROR;
    }

    value->data = ngx_pnalloc(r->pool, cookie->name.len + text.len
                              + cookie->attributes.len
                              + sizeof("=; Max-Age=; Secure")
                              + NGX_TIME_T_LEN);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(value->data, "%V=%V%V; Max-Age=%T", &cookie->name, &text,
                    &cookie->attributes, id ? age : 0);

    if (secure && !cookie->secure) {
        p = ngx_cpymem(p, "; Secure", sizeof("; Secure") - 1);
    }

    value->len = p - value->data;

    return NGX_OK;
}
