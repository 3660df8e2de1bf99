
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_stream.h"


void
ngx_http_atls_stream_print(ngx_http_atls_post_t *post, u_char *data,
    size_t len)
{
    size_t   rest;
    u_char  *last;

    last = post->print.last;

    if (len < NGX_HTTP_ATLS_PRINT_LEN) {
        rest = NGX_HTTP_ATLS_PRINT_LEN - len;

        ngx_memmove(last, last + len, rest);
        ngx_memcpy(last + rest, data, len);

        return;
    }

    ngx_memcpy(last, data + len - NGX_HTTP_ATLS_PRINT_LEN,
               NGX_HTTP_ATLS_PRINT_LEN);
}


void
ngx_http_atls_stream_count(ngx_http_atls_post_t *post, ngx_uint_t direction,
    size_t len)
{
    post->records[direction]++;
    post->bytes[direction] += len;

    ngx_http_atls_count(records[direction]);
    ngx_http_atls_count_n(plaintext[direction], len);
}


ngx_int_t
ngx_http_atls_stream_next(ngx_http_atls_post_t *post, ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_IN, post->plain_len);
        return NGX_OK;

    case NGX_AGAIN:
        return NGX_AGAIN;

    case NGX_DONE:
        post->ended = 1;
        return NGX_DONE;

    default: /* a status or a problem */
        post->status = rc;
        return rc;
    }
}


u_char *
ngx_http_atls_stream_room(ngx_http_atls_post_t *post, size_t size)
{
    u_char  *p;

    p = ngx_http_atls_answer_room(&post->answer, size);

    if (p || post->answer.error) {
        return p;
    }

    /* all buffers are full: send them first */

    if (ngx_http_atls_stream_flush(post) == NGX_ERROR) {
        return NULL;
    }

    p = ngx_http_atls_answer_room(&post->answer, size);

    if (p == NULL) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                       "atls %08xD response buffers are full", post->label);

        post->blocked = 1;
        ngx_http_atls_stream_send_later(post);
    }

    return p;
}


ngx_int_t
ngx_http_atls_stream_flush(ngx_http_atls_post_t *post)
{
    if (!post->answer.started && !post->answer.gone
        && post->headers(post) != NGX_OK)
    {
        post->answer.error = 1;
        return NGX_ERROR;
    }

    return ngx_http_atls_answer_flush(&post->answer);
}


/* Data of the same event loop iteration are sent together. */

void
ngx_http_atls_stream_send_later(ngx_http_atls_post_t *post)
{
    if (!post->event.posted) {
        ngx_post_event(&post->event, &ngx_posted_next_events);
    }
}


void
ngx_http_atls_stream_park(ngx_http_atls_post_t *post)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD parking", post->label);

    post->parking = 1;

    ngx_http_atls_stream_send_later(post);
}


void
ngx_http_atls_stream_end_session(ngx_http_atls_post_t *post,
    ngx_http_atls_end_e end)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD close session after POST, end:%d", post->label,
                   (int) end);

    /* the session ends after the handshake */

    if (post->stage == ngx_http_atls_post_handshake) {
        post->session->end = ngx_max(post->session->end, end);
        post->plain_len = 0;

    } else {
        post->end = ngx_max(post->end, end);
    }
}


void
ngx_http_atls_stream_inner_closed(ngx_http_atls_post_t *post,
    ngx_http_atls_end_e end)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD inner connection closed, session end:%d",
                   post->label, (int) end);

    post->inner = NULL;

    if (end != ngx_http_atls_end_none) {
        ngx_http_atls_stream_end_session(post, end);
    }

    /*
     * Sealed data must be sent even if the POST continues without an inner
     * connection: while a worker is shutting down, inner connections are
     * closed after each request.  With a message, the POST ends.
     */

    if (post->event.posted) {
        post->unsent = (post->stage != ngx_http_atls_post_message);
        ngx_delete_posted_event(&post->event);
    }

    ngx_post_event(&post->event, &ngx_posted_events);
}
