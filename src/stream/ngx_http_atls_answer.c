
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_answer.h"


#define NGX_HTTP_ATLS_SMALL_BUFFER  2048
#define NGX_HTTP_ATLS_BUFFERS       4


static ngx_int_t ngx_http_atls_answer_header(ngx_http_atls_answer_t *answer);
static ngx_int_t ngx_http_atls_answer_pass(ngx_http_atls_answer_t *answer);
static ngx_int_t ngx_http_atls_answer_goes_on(ngx_http_atls_answer_t *answer);
static void ngx_http_atls_answer_save(ngx_http_atls_answer_t *answer);
static void ngx_http_atls_answer_drop_small(ngx_http_atls_answer_t *answer);
static ngx_int_t ngx_http_atls_answer_get(ngx_http_atls_answer_t *answer,
    size_t size);
static ngx_chain_t *ngx_http_atls_answer_free(ngx_http_atls_answer_t *answer,
    size_t size);
static ngx_chain_t *ngx_http_atls_answer_alloc(ngx_http_atls_answer_t *answer,
    size_t size);
static void ngx_http_atls_answer_append(ngx_http_atls_answer_t *answer,
    ngx_chain_t *cl);
static void ngx_http_atls_answer_count(ngx_http_atls_answer_t *answer,
    size_t size);


void
ngx_http_atls_answer_init(ngx_http_atls_answer_t *answer,
    ngx_http_request_t *r, size_t plaintext)
{
    answer->request = r;
    answer->size = plaintext + TRL_CHANNEL_OVERHEAD;
}


u_char *
ngx_http_atls_answer_room(ngx_http_atls_answer_t *answer, size_t size)
{
    ngx_int_t  rc;

    if (answer->error) {
        return NULL;
    }

    rc = ngx_http_atls_answer_get(answer, size);

    if (rc == NGX_OK) {
        return answer->room->buf->last;
    }

    if (rc == NGX_ERROR) {
        answer->error = 1;
    }

    return NULL;
}


u_char *
ngx_http_atls_answer_add(ngx_http_atls_answer_t *answer, size_t size)
{
    ngx_chain_t  *cl;

    cl = ngx_http_atls_answer_alloc(answer, size);
    if (cl == NULL) {
        return NULL;
    }

    answer->room = cl;

    return cl->buf->last;
}


void
ngx_http_atls_answer_commit(ngx_http_atls_answer_t *answer, size_t size)
{
    /* a buffer is only appended when it contains data */

    if (answer->room != answer->tail) {
        ngx_http_atls_answer_append(answer, answer->room);
    }

    answer->tail->buf->last += size;
    ngx_http_atls_answer_count(answer, size);
}


ngx_int_t
ngx_http_atls_answer_copy(ngx_http_atls_answer_t *answer, u_char *data,
    size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_http_atls_answer_alloc(answer, len);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;
    b->last = ngx_cpymem(b->last, data, len);

    ngx_http_atls_answer_count(answer, len);
    ngx_http_atls_answer_append(answer, cl);

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_answer_flush(ngx_http_atls_answer_t *answer)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = answer->request;

    rc = ngx_http_atls_answer_header(answer);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        answer->error = 1;
        return NGX_ERROR;
    }

    if (answer->tail) {
        answer->tail->buf->flush = 1;
    }

    return ngx_http_atls_answer_pass(answer);
}


ngx_uint_t
ngx_http_atls_answer_whole(ngx_http_atls_answer_t *answer, ngx_str_t *prefix)
{
    prefix->data = answer->copy;
    prefix->len = answer->copied;

    return answer->bytes <= answer->keep
           && answer->copied + answer->length == answer->bytes;
}


ngx_int_t
ngx_http_atls_answer_finish(ngx_http_atls_answer_t *answer)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = answer->request;

    if (answer->gone) {
        return NGX_ERROR;
    }

    if (!answer->started) {
        r->headers_out.content_length_n = answer->length;
    }

    rc = ngx_http_atls_answer_header(answer);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (answer->tail == NULL) {
        return ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    answer->tail->buf->last_buf = 1;
    answer->tail->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, answer->out);
}


static ngx_int_t
ngx_http_atls_answer_header(ngx_http_atls_answer_t *answer)
{
    if (answer->error) {
        return NGX_ERROR;
    }

    if (answer->started || answer->gone) {
        return NGX_OK;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, answer->request->connection->log, 0,
                   "atls response header: %ui",
                   answer->request->headers_out.status);

    answer->started = 1;

    return ngx_http_send_header(answer->request);
}


static ngx_int_t
ngx_http_atls_answer_pass(ngx_http_atls_answer_t *answer)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = answer->request;

    ngx_http_atls_answer_save(answer);

    rc = answer->gone ? NGX_ERROR : ngx_http_output_filter(r, answer->out);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls response sent: %i, %uz", rc, (size_t) answer->length);

    if (rc == NGX_ERROR && ngx_http_atls_answer_goes_on(answer) != NGX_OK) {
        answer->error = 1;
        return NGX_ERROR;
    }

    ngx_chain_update_chains(r->pool, &answer->free, &answer->busy,
                            &answer->out,
                            (ngx_buf_tag_t) &ngx_http_atls_module);

    ngx_http_atls_answer_drop_small(answer);

    answer->tail = NULL;
    answer->length = 0;

    return !answer->gone && (answer->busy || r->connection->buffered)
           ? NGX_AGAIN : NGX_OK;
}


/*
 * The client is gone, and may fetch the response later: the buffers are not
 * sent.
 */

static ngx_int_t
ngx_http_atls_answer_goes_on(ngx_http_atls_answer_t *answer)
{
    ngx_chain_t  *cl;

    if (!answer->goes_on || answer->bytes > answer->keep) {
        return NGX_ERROR;
    }

    answer->gone = 1;

    for (cl = answer->busy; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
    }

    for (cl = answer->out; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
    }

    return NGX_OK;
}


/* Copies what is about to be sent, unless it is too much to be kept. */

static void
ngx_http_atls_answer_save(ngx_http_atls_answer_t *answer)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (answer->bytes > answer->keep || answer->length == 0) {
        return;
    }

    if (answer->copy == NULL) {
        answer->copy = ngx_pnalloc(answer->request->pool, answer->keep);

        if (answer->copy == NULL) {
            answer->keep = 0;
            return;
        }
    }

    for (cl = answer->out; cl; cl = cl->next) {
        b = cl->buf;

        ngx_memcpy(answer->copy + answer->copied, b->pos, b->last - b->pos);
        answer->copied += b->last - b->pos;
    }
}


/*
 * Small buffers are not reused: otherwise, a free buffer might have no room
 * for the record that waits for it.
 */

static void
ngx_http_atls_answer_drop_small(ngx_http_atls_answer_t *answer)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, **ll;

    ll = &answer->free;

    while (*ll) {
        cl = *ll;
        b = cl->buf;

        if ((size_t) (b->end - b->start) >= answer->size) {
            ll = &cl->next;
            continue;
        }

        *ll = cl->next;
        ngx_free_chain(answer->request->pool, cl);
    }
}


/* Sets answer->room to a buffer with room for size bytes. */

static ngx_int_t
ngx_http_atls_answer_get(ngx_http_atls_answer_t *answer, size_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (answer->tail) {
        b = answer->tail->buf;

        if ((size_t) (b->end - b->last) >= size) {
            answer->room = answer->tail;
            return NGX_OK;
        }
    }

    cl = ngx_http_atls_answer_free(answer, size);

    if (cl == NULL) {

        /* most responses fit into a single small buffer */

        if (size <= NGX_HTTP_ATLS_SMALL_BUFFER && answer->tail == NULL
            && !answer->started)
        {
            size = NGX_HTTP_ATLS_SMALL_BUFFER;

        } else if (answer->nbuffers == NGX_HTTP_ATLS_BUFFERS) {
            return NGX_AGAIN;

        } else {
            size = answer->size;
            answer->nbuffers++;
        }

        cl = ngx_http_atls_answer_alloc(answer, size);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, answer->request->connection->log, 0,
                       "atls response buffer: %uz, n:%ui", size,
                       answer->nbuffers);
    }

    answer->room = cl;

    return NGX_OK;
}


static ngx_chain_t *
ngx_http_atls_answer_free(ngx_http_atls_answer_t *answer, size_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, **ll;

    for (ll = &answer->free; *ll; ll = &(*ll)->next) {
        cl = *ll;
        b = cl->buf;

        if ((size_t) (b->end - b->start) < size) {
            continue;
        }

        *ll = cl->next;

        b->pos = b->start;
        b->last = b->start;
        b->flush = 0;

        return cl;
    }

    return NULL;
}


static ngx_chain_t *
ngx_http_atls_answer_alloc(ngx_http_atls_answer_t *answer, size_t size)
{
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = answer->request;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf = ngx_create_temp_buf(r->pool, size);
    if (cl->buf == NULL) {
        return NULL;
    }

    cl->buf->tag = (ngx_buf_tag_t) &ngx_http_atls_module;

    return cl;
}


static void
ngx_http_atls_answer_append(ngx_http_atls_answer_t *answer, ngx_chain_t *cl)
{
    cl->next = NULL;

    if (answer->tail) {
        answer->tail->next = cl;

    } else {
        answer->out = cl;
    }

    answer->tail = cl;
}


static void
ngx_http_atls_answer_count(ngx_http_atls_answer_t *answer, size_t size)
{
    answer->length += size;
    answer->bytes += size;

    ngx_http_atls_count_n(ciphertext[NGX_HTTP_ATLS_OUT], size);
}
