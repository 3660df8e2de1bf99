
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include <openssl/sha.h>
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_page.h"


#define NGX_HTTP_ATLS_PAGE_HASH  ngx_base64_encoded_length(SHA256_DIGEST_LENGTH)

/* "img-src" is for the icon in the page, "connect-src" for the metrics. */

#define NGX_HTTP_ATLS_PAGE_POLICY                                             \
    "default-src 'none'; script-src 'sha256-%V'; style-src 'sha256-%V'; "     \
    "connect-src 'self'; img-src data:; base-uri 'none'; "                    \
    "form-action 'none'; frame-ancestors 'none'; "                            \
    "require-trusted-types-for 'script'"


static ngx_int_t ngx_http_atls_page_headers(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_page_policy(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_page_hash(ngx_http_request_t *r,
    ngx_str_t *part, ngx_str_t *hash);


ngx_chain_t *
ngx_http_atls_page(ngx_http_request_t *r, off_t *length)
{
    ngx_buf_t    *b;
    ngx_str_t    *part;
    ngx_uint_t    i;
    ngx_chain_t  *cl, *out, **last;

    if (ngx_http_atls_page_headers(r) != NGX_OK) {
        return NULL;
    }

    b = NULL;
    *length = 0;
    last = &out;

    for (i = 0; i < ngx_http_atls_page_n; i++) {
        part = &ngx_http_atls_page_parts[i];

        cl = ngx_alloc_chain_link(r->pool);
        b = ngx_calloc_buf(r->pool);

        if (cl == NULL || b == NULL) {
            return NULL;
        }

        b->pos = part->data;
        b->last = part->data + part->len;
        b->memory = 1;

        *length += part->len;

        cl->buf = b;
        *last = cl;
        last = &cl->next;
    }

    *last = NULL;

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    return out;
}


static ngx_int_t
ngx_http_atls_page_headers(ngx_http_request_t *r)
{
    ngx_str_t  value;

    ngx_str_set(&value, "no-referrer");

    if (ngx_http_atls_add_header(r, "Referrer-Policy", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_atls_page_policy(r);
}


static ngx_int_t
ngx_http_atls_page_policy(ngx_http_request_t *r)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   value, script, style;

    if (ngx_http_atls_page_hash(r,
            &ngx_http_atls_page_parts[ngx_http_atls_page_script], &script)
        != NGX_OK
        || ngx_http_atls_page_hash(r,
               &ngx_http_atls_page_parts[ngx_http_atls_page_style], &style)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = sizeof(NGX_HTTP_ATLS_PAGE_POLICY) + script.len + style.len;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_snprintf(p, len, NGX_HTTP_ATLS_PAGE_POLICY, &script, &style)
                - p;

    return ngx_http_atls_add_header(r, "Content-Security-Policy", &value);
}


static ngx_int_t
ngx_http_atls_page_hash(ngx_http_request_t *r, ngx_str_t *part,
    ngx_str_t *hash)
{
    ngx_str_t  digest;
    u_char     md[SHA256_DIGEST_LENGTH];

    if (EVP_Digest(part->data, part->len, md, NULL, EVP_sha256(), NULL) != 1) {
        ngx_ssl_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "EVP_Digest() failed");
        return NGX_ERROR;
    }

    hash->data = ngx_pnalloc(r->pool, NGX_HTTP_ATLS_PAGE_HASH);
    if (hash->data == NULL) {
        return NGX_ERROR;
    }

    digest.data = md;
    digest.len = SHA256_DIGEST_LENGTH;

    ngx_encode_base64(hash, &digest);

    return NGX_OK;
}
