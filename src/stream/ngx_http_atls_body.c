
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_datagram.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_body.h"


static ssize_t ngx_http_atls_body_size(trl_channel_t *channel, u_char *header);
static ngx_int_t ngx_http_atls_body_gather(ngx_http_atls_body_t *body,
    size_t n);
static ngx_int_t ngx_http_atls_body_alloc(ngx_http_atls_body_t *body);
static ngx_int_t ngx_http_atls_body_next(ngx_http_atls_body_t *body);
static ngx_int_t ngx_http_atls_body_read_file(ngx_http_atls_body_t *body,
    ngx_buf_t *b);
static void ngx_http_atls_body_count(ngx_http_atls_body_t *body);


ngx_int_t
ngx_http_atls_body_peek(ngx_http_atls_body_t *body, size_t n, u_char **data,
    size_t *len)
{
    ngx_int_t  rc;

    if (body->held == body->taken) {

        rc = ngx_http_atls_body_fill(body);
        if (rc != NGX_OK) {
            return rc;
        }

        if ((size_t) (body->last - body->pos) >= n) {
            *data = body->pos;
            *len = n;
            return NGX_OK;
        }
    }

    rc = ngx_http_atls_body_gather(body, n);

    if (rc == NGX_OK || rc == NGX_DONE) {
        *data = body->buffer + body->taken;
        *len = ngx_min(n, body->held - body->taken);
        return NGX_OK;
    }

    return rc;
}


void
ngx_http_atls_body_skip(ngx_http_atls_body_t *body, size_t n)
{
    if (body->held > body->taken) {
        body->taken += n;

    } else {
        body->pos += n;
    }
}


ngx_int_t
ngx_http_atls_body_read(ngx_http_atls_body_t *body, size_t n, u_char **data,
    size_t *len)
{
    ngx_int_t  rc;

    if (body->held > body->taken) {
        *data = body->buffer + body->taken;
        *len = ngx_min(n, body->held - body->taken);

        body->taken += *len;

        return NGX_OK;
    }

    rc = ngx_http_atls_body_fill(body);
    if (rc != NGX_OK) {
        return rc;
    }

    *data = body->pos;
    *len = ngx_min(n, (size_t) (body->last - body->pos));

    body->pos += *len;

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_body_record(ngx_http_atls_body_t *body, trl_channel_t *channel,
    u_char **record, size_t *len)
{
    size_t     header;
    ssize_t    n;
    ngx_int_t  rc;

    header = channel ? TRL_HEADER_SIZE : TRL_DATAGRAM_HEADER;

    if (body->held == body->taken) {

        rc = ngx_http_atls_body_fill(body);
        if (rc != NGX_OK) {
            return rc;
        }

        /* a record within a single buffer is decrypted in place */

        if ((size_t) (body->last - body->pos) >= header) {

            n = ngx_http_atls_body_size(channel, body->pos);
            if (n < 0) {
                return NGX_ERROR;
            }

            if (body->last - body->pos >= n) {
                *record = body->pos;
                *len = n;

                body->pos += n;

                return NGX_OK;
            }
        }
    }

    rc = ngx_http_atls_body_gather(body, header);
    if (rc != NGX_OK) {
        return rc;
    }

    n = ngx_http_atls_body_size(channel, body->buffer + body->taken);
    if (n < 0) {
        return NGX_ERROR;
    }

    rc = ngx_http_atls_body_gather(body, n);
    if (rc != NGX_OK) {
        return rc;
    }

    *record = body->buffer + body->taken;
    *len = n;

    body->taken += n;

    return NGX_OK;
}


static ssize_t
ngx_http_atls_body_size(trl_channel_t *channel, u_char *header)
{
    return channel ? trl_channel_header(channel, header)
                   : trl_datagram_size(header);
}


ngx_int_t
ngx_http_atls_body_discard(ngx_http_atls_body_t *body)
{
    size_t      len;
    u_char     *data;
    ngx_int_t   rc;

    do {
        rc = ngx_http_atls_body_read(body, TRL_MAX_RECORD, &data, &len);

    } while (rc == NGX_OK);

    return rc;
}


ngx_int_t
ngx_http_atls_body_prepend(ngx_http_atls_body_t *body, u_char *data,
    size_t len)
{
    size_t     held;
    ngx_int_t  rc;

    held = body->held - body->taken;

    rc = ngx_http_atls_body_alloc(body);
    if (rc != NGX_OK) {
        return rc;
    }

    if (len + held > TRL_MAX_RECORD + NGX_HTTP_ATLS_BODY_PEEK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memmove(body->buffer + len, body->buffer + body->taken, held);
    ngx_memcpy(body->buffer, data, len);

    body->taken = 0;
    body->held = len + held;

    return NGX_OK;
}


void
ngx_http_atls_body_rest(ngx_http_atls_body_t *body, ngx_str_t *rest)
{
    rest->data = body->buffer + body->taken;
    rest->len = body->held - body->taken;
}


/*
 * Copies the next n bytes to the buffer.  NGX_DONE: the body has ended, and
 * the buffer contains the rest.
 */

static ngx_int_t
ngx_http_atls_body_gather(ngx_http_atls_body_t *body, size_t n)
{
    size_t     size;
    ngx_int_t  rc;

    rc = ngx_http_atls_body_alloc(body);
    if (rc != NGX_OK) {
        return rc;
    }

    if (body->taken) {
        ngx_memmove(body->buffer, body->buffer + body->taken,
                    body->held - body->taken);
        body->held -= body->taken;
        body->taken = 0;
    }

    while (body->held < n) {

        rc = ngx_http_atls_body_fill(body);
        if (rc != NGX_OK) {
            return rc;
        }

        size = ngx_min(n - body->held, (size_t) (body->last - body->pos));

        ngx_memcpy(body->buffer + body->held, body->pos, size);

        body->held += size;
        body->pos += size;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_body_alloc(ngx_http_atls_body_t *body)
{
    if (body->buffer) {
        return NGX_OK;
    }

    body->buffer = ngx_palloc(body->request->pool,
                              TRL_MAX_RECORD + NGX_HTTP_ATLS_BODY_PEEK);

    if (body->buffer == NULL) {
        body->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return body->status;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_body_fill(ngx_http_atls_body_t *body)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    if (body->pos < body->last) {
        return NGX_OK;
    }

    if (body->status) {
        return body->status;
    }

    r = body->request;

    for ( ;; ) {

        rc = ngx_http_atls_body_next(body);
        if (rc != NGX_DONE) {
            return rc;
        }

        if (!r->reading_body) {
            return NGX_DONE;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            body->status = rc;
            return rc;
        }

        if (!r->reading_body) {
            ngx_http_atls_body_ended(r);
        }

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "atls body read: %i, reading:%d", rc,
                       (int) r->reading_body);

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return NGX_AGAIN;
        }
    }
}


ngx_uint_t
ngx_http_atls_body_type(ngx_http_request_t *r, ngx_str_t *type)
{
    u_char     *p, *last;
    ngx_str_t  *value;

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    value = &r->headers_in.content_type->value;
    last = value->data + value->len;

    for (p = value->data; p < last; p++) {
        if (*p == ';' || *p == ' ' || *p == '\t') {
            break;
        }
    }

    return (size_t) (p - value->data) == type->len
           && ngx_strncasecmp(value->data, type->data, type->len) == 0;
}


ngx_str_t *
ngx_http_atls_body_coding(ngx_http_request_t *r, ngx_uint_t *lines)
{
    ngx_str_t        *coding;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    coding = NULL;
    *lines = 0;

    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return coding;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].key.len == sizeof("Content-Encoding") - 1
            && ngx_strcasecmp(header[i].key.data,
                              (u_char *) "Content-Encoding")
               == 0)
        {
            if (coding == NULL) {
                coding = &header[i].value;
            }

            (*lines)++;
        }
    }
}


void
ngx_http_atls_body_explain(ngx_http_request_t *r)
{
    ngx_str_t   *coding;
    ngx_uint_t   lines;

    coding = ngx_http_atls_body_coding(r, &lines);

    if (coding) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls client sent the body with Content-Encoding \"%*s\"",
                      ngx_http_atls_label_len(coding), coding->data);
    }
}


ngx_uint_t
ngx_http_atls_body_done(const ngx_http_atls_body_t *body)
{
    ngx_chain_t  *cl;

    if (body->pos < body->last || body->status || body->request->reading_body) {
        return 0;
    }

    for (cl = body->request->request_body->bufs; cl; cl = cl->next) {
        if (ngx_buf_size(cl->buf)) {
            return 0;
        }
    }

    return 1;
}


void
ngx_http_atls_body_ended(ngx_http_request_t *r)
{
    ngx_event_t  *rev;

    rev = r->connection->read;

    if (rev->pending_eof) {
        ngx_post_event(rev, &ngx_posted_events);
    }
}


/*
 * Switches to the next buffer of the request body.  The buffer is marked as
 * consumed, but core does not reuse it before more of the body is read, and
 * that is done only when all buffers are empty.
 */

static ngx_int_t
ngx_http_atls_body_next(ngx_http_atls_body_t *body)
{
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = body->request->request_body;

    while (rb->bufs) {
        cl = rb->bufs;
        b = cl->buf;

        if (b->in_file && !ngx_buf_in_memory(b) && b->file_pos < b->file_last) {
            return ngx_http_atls_body_read_file(body, b);
        }

        rb->bufs = cl->next;
        ngx_free_chain(body->request->pool, cl);

        if (ngx_buf_in_memory(b) && b->pos < b->last) {
            body->pos = b->pos;
            body->last = b->last;
            b->pos = b->last;

            ngx_http_atls_body_count(body);

            return NGX_OK;
        }
    }

    return NGX_DONE;
}


/* The body is in a file if it was read before, for example by "mirror". */

static ngx_int_t
ngx_http_atls_body_read_file(ngx_http_atls_body_t *body, ngx_buf_t *b)
{
    size_t   size;
    ssize_t  n;

    if (body->file == NULL) {
        body->file = ngx_palloc(body->request->pool, TRL_MAX_RECORD);
        if (body->file == NULL) {
            body->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
            return body->status;
        }
    }

    size = (size_t) ngx_min(b->file_last - b->file_pos, TRL_MAX_RECORD);

    n = ngx_read_file(b->file, body->file, size, b->file_pos);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, body->request->connection->log, 0,
                   "atls body file: %z of %uz", n, size);

    if (n <= 0) {
        body->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return body->status;
    }

    b->file_pos += n;

    body->pos = body->file;
    body->last = body->file + n;

    ngx_http_atls_body_count(body);

    return NGX_OK;
}


static void
ngx_http_atls_body_count(ngx_http_atls_body_t *body)
{
    size_t  n;

    n = body->last - body->pos;

    body->bytes += n;
    ngx_http_atls_count_n(ciphertext[NGX_HTTP_ATLS_IN], n);
}
