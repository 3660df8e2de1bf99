
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"


typedef struct {
    ngx_uint_t   status;
    const char  *body;
} ngx_http_atls_problem_t;


#define ngx_http_atls_problem_body(status, title, detail)                     \
    "{\"type\":\"about:blank\",\"title\":\"" title "\",\"status\":" #status   \
    ",\"detail\":\"" detail "\"}" CRLF


static void ngx_http_atls_problem_text(ngx_uint_t status, ngx_str_t *text);


static ngx_http_atls_problem_t  ngx_http_atls_problems[] = {

    { 400, ngx_http_atls_problem_body(400, "Bad Request",
               "The body is no TLS, or could not be read.") },

    { 405, ngx_http_atls_problem_body(405, "Method Not Allowed",
               "ATLS records are sent with POST.") },

    { 409, ngx_http_atls_problem_body(409, "Conflict",
               "Another POST of this session is in progress.") },

    { 410, ngx_http_atls_problem_body(410, "Gone",
               "The session is not known any more: begin a new one.") },

    { 415, ngx_http_atls_problem_body(415, "Unsupported Media Type",
               "The media type is application/atls+octet-stream.") },

    { 500, ngx_http_atls_problem_body(500, "Internal Server Error",
               "The server failed to serve the session.") },

    { 502, ngx_http_atls_problem_body(502, "Bad Gateway",
               "The service did not take the payload.") },

    { 503, ngx_http_atls_problem_body(503, "Service Unavailable",
               "There is not enough room now: try again later.") },

    { 0, NULL }
};


static void
ngx_http_atls_problem_text(ngx_uint_t status, ngx_str_t *text)
{
    ngx_http_atls_problem_t  *problem;

    ngx_str_null(text);

    for (problem = ngx_http_atls_problems; problem->status; problem++) {

        if (problem->status == status) {
            text->data = (u_char *) problem->body;
            text->len = ngx_strlen(problem->body);
        }
    }
}


u_char *
ngx_http_atls_problem_write(ngx_uint_t status, ngx_str_t *cookie, u_char *buf,
    size_t size)
{
    u_char     *p, *last;
    ngx_str_t   text;

    last = buf + size;

    ngx_http_atls_problem_text(status, &text);

    p = ngx_slprintf(buf, last, "HTTP/1.1 %ui Problem" CRLF
                     "Content-Type: application/problem+json" CRLF
                     "Content-Length: %uz" CRLF, status, text.len);

    if (cookie) {
        p = ngx_slprintf(p, last, "Set-Cookie: %V" CRLF, cookie);
    }

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        p = ngx_slprintf(p, last, "Retry-After: 1" CRLF);
    }

    return ngx_slprintf(p, last, CRLF "%V", &text);
}


ngx_int_t
ngx_http_atls_problem(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_str_t     value, text;
    ngx_chain_t   out;

    ngx_http_atls_problem_text(status, &text);

    if (status == NGX_HTTP_NOT_ALLOWED) {
        ngx_str_set(&value, "POST");
        rc = ngx_http_atls_add_header(r, "Allow", &value);

    } else if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        ngx_str_set(&value, "1");
        rc = ngx_http_atls_add_header(r, "Retry-After", &value);

    } else {
        rc = NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = text.data;
    b->last = b->pos + text.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    r->headers_out.status = status;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/problem+json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_atls_add_header(ngx_http_request_t *r, const char *key,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) key;
    h->key.len = ngx_strlen(key);
    h->value = *value;
    ngx_http_atls_link_header(h);

    return NGX_OK;
}
