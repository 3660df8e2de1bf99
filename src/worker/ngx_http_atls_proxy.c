
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_proxy.h"


#define NGX_HTTP_ATLS_PROXY_STRINGS  3


static ngx_uint_t ngx_http_atls_proxy_strings(ngx_proxy_protocol_t *pp,
    ngx_str_t **strings);


size_t
ngx_http_atls_proxy_size(ngx_proxy_protocol_t *pp)
{
    size_t       size;
    ngx_str_t   *s[NGX_HTTP_ATLS_PROXY_STRINGS];
    ngx_uint_t   i, n;

    n = ngx_http_atls_proxy_strings(pp, s);
    size = sizeof(ngx_proxy_protocol_t);

    for (i = 0; i < n; i++) {
        size += s[i]->len;
    }

    return size;
}


void
ngx_http_atls_proxy_write(ngx_proxy_protocol_t *dst, ngx_proxy_protocol_t *src)
{
    u_char      *p;
    ngx_str_t   *s[NGX_HTTP_ATLS_PROXY_STRINGS];
    ngx_uint_t   i, n;

    *dst = *src;

    n = ngx_http_atls_proxy_strings(src, s);
    p = (u_char *) (dst + 1);

    for (i = 0; i < n; i++) {
        if (s[i]->len) {
            p = ngx_cpymem(p, s[i]->data, s[i]->len);
        }
    }

    (void) ngx_http_atls_proxy_moved(dst, p - (u_char *) dst);
}


/* Another machine may have sent any lengths: their sum may overflow. */

ngx_int_t
ngx_http_atls_proxy_moved(ngx_proxy_protocol_t *pp, size_t size)
{
    u_char      *p, *last;
    ngx_str_t   *s[NGX_HTTP_ATLS_PROXY_STRINGS];
    ngx_uint_t   i, n;

    if (size < sizeof(ngx_proxy_protocol_t)) {
        return NGX_ERROR;
    }

    n = ngx_http_atls_proxy_strings(pp, s);
    p = (u_char *) (pp + 1);
    last = (u_char *) pp + size;

    for (i = 0; i < n; i++) {

        if (s[i]->len > (size_t) (last - p)) {
            return NGX_ERROR;
        }

        s[i]->data = p;
        p += s[i]->len;
    }

    return p == last ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_atls_proxy_copy(ngx_pool_t *pool, ngx_proxy_protocol_t **dst,
    ngx_proxy_protocol_t *src)
{
    ngx_proxy_protocol_t  *pp;

    pp = NULL;

    if (src) {
        pp = ngx_palloc(pool, ngx_http_atls_proxy_size(src));
        if (pp == NULL) {
            return NGX_ERROR;
        }

        ngx_http_atls_proxy_write(pp, src);
    }

    *dst = pp;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_atls_proxy_strings(ngx_proxy_protocol_t *pp, ngx_str_t **strings)
{
    ngx_uint_t  n;

    n = 0;

    strings[n++] = &pp->src_addr;
    strings[n++] = &pp->dst_addr;

    if (ngx_http_atls_proxy_tlvs(pp)) {
        strings[n++] = ngx_http_atls_proxy_tlvs(pp);
    }

    return n;
}
