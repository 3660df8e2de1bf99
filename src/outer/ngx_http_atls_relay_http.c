
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_raw.h"
#include "ngx_http_atls_outcome.h"
#include "ngx_http_atls_relay_http.h"
#include "ngx_http_atls_relay_mail.h"
#include "ngx_http_atls_relay_peer.h"
#include "ngx_http_atls_relayed.h"


static ngx_buf_t *ngx_http_atls_relay_http_format(ngx_http_atls_relay_t *relay,
    ngx_http_atls_post_t *post, ngx_str_t *value);
static off_t ngx_http_atls_relay_http_body_length(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_relay_http_body_filter(void *data,
    ngx_chain_t *in);
static ngx_int_t ngx_http_atls_relay_http_copy(ngx_http_atls_relay_t *relay,
    ngx_chain_t ***ll, ngx_buf_t *b);
static ngx_chain_t *ngx_http_atls_relay_http_framing(
    ngx_http_atls_relay_t *relay, ngx_chain_t ***ll, const char *fmt,
    off_t size);
static ngx_int_t ngx_http_atls_relay_http_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_relay_http_header(ngx_http_request_t *r);


/* Headers copied from the response of the other worker. */

static ngx_str_t  ngx_http_atls_relay_headers[] = {
    ngx_string("connection"),
    ngx_string("content-type"),
    ngx_string("content-length"),
    ngx_string("transfer-encoding"),
    ngx_string("set-cookie"),
    ngx_string("location"),
    ngx_string("allow"),
    ngx_string("retry-after"),
    ngx_string("atls-post"),
    ngx_null_string
};


ngx_int_t
ngx_http_atls_relay_http_head(ngx_http_atls_relay_t *relay,
    ngx_http_atls_post_t *post, ngx_str_t *value)
{
    ngx_buf_t  *b;

    b = ngx_http_atls_relay_http_format(relay, post, value);
    if (b == NULL) {
        return NGX_ERROR;
    }

    relay->head.data = b->pos;
    relay->head.len = b->last - b->pos;

    return NGX_OK;
}


/* To another worker if there is no value. */

static ngx_buf_t *
ngx_http_atls_relay_http_format(ngx_http_atls_relay_t *relay,
    ngx_http_atls_post_t *post, ngx_str_t *value)
{
    ngx_buf_t           *b;
    ngx_str_t           *type, host;
    ngx_http_request_t  *r;

    r = relay->request;
    type = &r->headers_in.content_type->value;

    ngx_http_atls_raw_host(r, &host);

    b = ngx_create_temp_buf(r->pool,
                            sizeof("POST  HTTP/1.1" CRLF
                                   "Host: " CRLF
                                   "Content-Type: " CRLF
                                   NGX_HTTP_ATLS_SESSION_HEADER ":  " CRLF
                                   NGX_HTTP_ATLS_RELAY_HEADER ": " CRLF
                                   "Expect: 100-continue" CRLF
                                   "Transfer-Encoding: chunked" CRLF CRLF)
                            + r->unparsed_uri.len + host.len
                            + type->len + relay->session.len
                            + (value ? value->len : 0)
                            + NGX_INT_T_LEN + NGX_OFF_T_LEN);
    if (b == NULL) {
        return NULL;
    }

    b->last = ngx_sprintf(b->last, "POST %V HTTP/1.1" CRLF
                          "Host: %V" CRLF
                          "Content-Type: %V" CRLF
                          NGX_HTTP_ATLS_SESSION_HEADER ": %ui %V" CRLF,
                          &r->unparsed_uri, &host, type,
                          post->tracking, &relay->session);

    if (value) {
        b->last = ngx_sprintf(b->last, NGX_HTTP_ATLS_RELAY_HEADER ": %V" CRLF
                              "Expect: 100-continue" CRLF, value);

    } else {
        b->last = ngx_cpymem(b->last, "Connection: close" CRLF,
                             sizeof("Connection: close" CRLF) - 1);
    }

    relay->length = ngx_http_atls_relay_http_body_length(r);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls relay request, length:%O", relay->length);

    if (relay->length >= 0) {
        b->last = ngx_sprintf(b->last, "Content-Length: %O" CRLF CRLF,
                              relay->length);

    } else {
        b->last = ngx_cpymem(b->last,
                             "Transfer-Encoding: chunked" CRLF CRLF,
                             sizeof("Transfer-Encoding: chunked" CRLF CRLF)
                             - 1);
    }

    return b;
}


ngx_int_t
ngx_http_atls_relay_http_create_request(ngx_http_request_t *r)
{
    ngx_buf_t              *b;
    ngx_chain_t            *cl;
    ngx_http_upstream_t    *u;
    ngx_http_atls_post_t   *post;
    ngx_http_atls_relay_t  *relay;

    u = r->upstream;
    post = ngx_http_get_module_ctx(r, ngx_http_atls_module);
    relay = post->relay;

    /* to another machine, the head was sent: there is only the body */

    b = relay->head.len ? ngx_calloc_buf(r->pool)
                        : ngx_http_atls_relay_http_format(relay, post, NULL);

    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    /* if the body is being read, upstream adds the buffers */

    cl->buf = b;
    cl->next = r->request_body_no_buffering ? NULL : u->request_bufs;
    u->request_bufs = cl;

    b->flush = 1;

    if (relay->length < 0) {
        u->output.output_filter = ngx_http_atls_relay_http_body_filter;
        u->output.filter_ctx = relay;
    }

    return NGX_OK;
}


/* Returns -1 if the length is unknown. */

static off_t
ngx_http_atls_relay_http_body_length(ngx_http_request_t *r)
{
    off_t         length;
    ngx_chain_t  *cl;

    if (r->reading_body || r->request_body == NULL) {
        return r->headers_in.chunked
               ? -1 : ngx_max(r->headers_in.content_length_n, 0);
    }

    length = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        length += ngx_buf_size(cl->buf);
    }

    return length;
}


ngx_int_t
ngx_http_atls_relay_http_reinit_request(ngx_http_request_t *r)
{
    /* there is only one peer */

    return NGX_ERROR;
}


/* Chunked encoding of the body, RFC 9112, section 7.1. */

static ngx_int_t
ngx_http_atls_relay_http_body_filter(void *data, ngx_chain_t *in)
{
    ngx_http_atls_relay_t *relay = data;

    off_t                 size;
    ngx_int_t             rc;
    ngx_uint_t            last;
    ngx_chain_t          *cl, *out, **ll;
    ngx_http_upstream_t  *u;

    u = relay->request->upstream;

    out = NULL;
    ll = &out;

    if (in && !relay->head_sent) {
        relay->head_sent = 1;

        if (ngx_http_atls_relay_http_copy(relay, &ll, in->buf) != NGX_OK) {
            return NGX_ERROR;
        }

        in = in->next;
    }

    size = 0;
    last = 0;

    for (cl = in; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
        last |= cl->buf->last_buf;
    }

    if (size && ngx_http_atls_relay_http_framing(relay, &ll, "%xO" CRLF, size)
                     == NULL)
    {
        return NGX_ERROR;
    }

    for ( /* void */; in; in = in->next) {

        if (ngx_buf_size(in->buf) == 0) {
            continue;
        }

        if (ngx_http_atls_relay_http_copy(relay, &ll, in->buf) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (size && ngx_http_atls_relay_http_framing(relay, &ll, CRLF, 0) == NULL) {
        return NGX_ERROR;
    }

    if (last && ngx_http_atls_relay_http_framing(relay, &ll, "0" CRLF CRLF, 0)
                     == NULL)
    {
        return NGX_ERROR;
    }

    rc = ngx_chain_writer(&u->writer, out);

    ngx_chain_update_chains(relay->request->pool, &relay->free, &relay->busy,
                            &out,
                            (ngx_buf_tag_t) &ngx_http_atls_relay_http_filter);

    return rc;
}


static ngx_int_t
ngx_http_atls_relay_http_copy(ngx_http_atls_relay_t *relay, ngx_chain_t ***ll,
    ngx_buf_t *b)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(relay->request->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;
    cl->next = NULL;

    **ll = cl;
    *ll = &cl->next;

    return NGX_OK;
}


static ngx_chain_t *
ngx_http_atls_relay_http_framing(ngx_http_atls_relay_t *relay,
    ngx_chain_t ***ll, const char *fmt, off_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(relay->request->pool, &relay->free);
    if (cl == NULL) {
        return NULL;
    }

    b = cl->buf;

    if (b->start == NULL) {
        b->start = ngx_palloc(relay->request->pool,
                              NGX_OFF_T_LEN + sizeof(CRLF));
        if (b->start == NULL) {
            return NULL;
        }

        b->end = b->start + NGX_OFF_T_LEN + sizeof(CRLF);
        b->temporary = 1;
        b->tag = (ngx_buf_tag_t) &ngx_http_atls_relay_http_filter;
    }

    b->flush = 1;
    b->pos = b->start;
    b->last = ngx_sprintf(b->start, fmt, size);

    **ll = cl;
    *ll = &cl->next;

    return cl;
}


ngx_int_t
ngx_http_atls_relay_http_process_status(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_upstream_t    *u;
    ngx_http_atls_relay_t  *relay;

    u = r->upstream;
    relay = ngx_http_atls_relay_get(r);

    rc = ngx_http_parse_status_line(r, &u->buffer, &relay->status);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls relay status: %ui", relay->status.code);

    u->headers_in.status_n = relay->status.code;

    if (u->state) {
        u->state->status = relay->status.code;
    }

    u->process_header = ngx_http_atls_relay_http_process_header;

    return ngx_http_atls_relay_http_process_header(r);
}


static ngx_int_t
ngx_http_atls_relay_http_process_header(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    for ( ;; ) {

        rc = ngx_http_parse_header_line(r, &u->buffer, 1);

        if (rc == NGX_OK) {
            if (ngx_http_atls_relay_http_header(r) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc != NGX_HTTP_PARSE_HEADER_DONE) {
            return NGX_HTTP_UPSTREAM_INVALID_HEADER;
        }

        return NGX_OK;
    }
}


/*
 * Headers set by the location, such as those of "add_header", are added in
 * this worker, so those of the other worker are skipped.  A response for
 * another machine is passed as it is.
 */

static ngx_int_t
ngx_http_atls_relay_http_header(ngx_http_request_t *r)
{
    u_char                         *p;
    ngx_str_t                      *name, *cookie, value;
    ngx_uint_t                      passing;
    ngx_table_elt_t                *h;
    ngx_http_upstream_t            *u;
    ngx_http_atls_loc_conf_t       *alcf;
    ngx_http_upstream_header_t     *hh;
    ngx_http_upstream_main_conf_t  *umcf;

    u = r->upstream;

    value.data = r->header_start;
    value.len = r->header_end - r->header_start;

    for (name = ngx_http_atls_relay_headers; name->len; name++) {
        if (name->len == (size_t) (r->header_name_end - r->header_name_start)
            && ngx_strncasecmp(name->data, r->header_name_start, name->len)
               == 0)
        {
            break;
        }
    }

    if (name->len == 0) {
        return NGX_OK;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls relay header: \"%V\"", name);

    passing = (ngx_http_atls_relay_get(r)->mail != NULL);

    if (name->data[0] == 'a' && name->data[1] == 't' && !passing) {
        ngx_http_atls_outcome_relayed(r, &value);
        return NGX_OK;
    }

    if (name->data[0] == 's' && !passing) {

        /* only the session cookie is copied */

        alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);
        cookie = &alcf->cookie.name;

        if (value.len <= cookie->len || value.data[cookie->len] != '='
            || ngx_strncmp(value.data, cookie->data, cookie->len) != 0)
        {
            return NGX_OK;
        }
    }

    h = ngx_list_push(&u->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    /* the buffer is reused for the body */

    p = ngx_pnalloc(r->pool, name->len + 1 + value.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_key(name->data, name->len);
    h->lowcase_key = name->data;
    h->key.len = name->len;
    h->key.data = p;
    p = ngx_cpymem(p, r->header_name_start, name->len);
    *p++ = '\0';

    h->value.len = value.len;
    h->value.data = p;
    p = ngx_cpymem(p, value.data, value.len);
    *p = '\0';

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);

    hh = ngx_hash_find(&umcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    if (hh && hh->handler(r, h, hh->offset) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_relay_http_filter_init(void *data)
{
    ngx_http_atls_relay_t *relay = data;

    ngx_http_upstream_t  *u;

    u = relay->request->upstream;

    /*
     * Chunked: there is more until the last chunk.  -1: the response ends with
     * the connection, if the location has "chunked_transfer_encoding off".
     */

    u->length = u->headers_in.chunked ? 1 : u->headers_in.content_length_n;

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_relay_http_filter(void *data, ssize_t bytes)
{
    ngx_http_atls_relay_t *relay = data;

    size_t                size;
    ngx_int_t             rc;
    ngx_buf_t            *b, *buf;
    ngx_chain_t          *cl, **ll;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = relay->request;
    u = r->upstream;
    buf = &u->buffer;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls relay filter, bytes:%z, length:%O", bytes, u->length);

    buf->pos = buf->last;
    buf->last += bytes;

    for (ll = &u->out_bufs; *ll; ll = &(*ll)->next) { /* void */ }

    for ( ;; ) {

        if (!u->headers_in.chunked) {
            size = buf->last - buf->pos;

            if (u->length != -1) {
                size = (size_t) ngx_min(u->length, (off_t) size);
                u->length -= size;
            }

            if (size == 0) {
                return NGX_OK;
            }

        } else {
            rc = ngx_http_atls_parse_chunked(r, buf, &relay->chunked);

            if (rc == NGX_DONE) {
                u->length = 0;
                return NGX_OK;
            }

            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? NGX_OK : NGX_ERROR;
            }

            size = (size_t) ngx_min(relay->chunked.size,
                                    (off_t) (buf->last - buf->pos));
            relay->chunked.size -= size;
        }

        cl = ngx_chain_get_free_buf(r->pool, &u->free_bufs);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        *ll = cl;
        ll = &cl->next;

        b = cl->buf;

        b->flush = 1;
        b->memory = 1;
        b->tag = u->output.tag;
        b->pos = buf->pos;
        b->last = buf->pos + size;

        buf->pos += size;
    }
}


void
ngx_http_atls_relay_http_abort_request(ngx_http_request_t *r)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls relay abort");
}


void
ngx_http_atls_relay_http_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_atls_relay_t  *relay;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls relay finalize: %i", rc);

    relay = ngx_http_atls_relay_get(r);

    if (relay->timer.timer_set) {
        ngx_del_timer(&relay->timer);
    }
}
