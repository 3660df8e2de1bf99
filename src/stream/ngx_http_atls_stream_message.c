
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_coding.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_message.h"


static ngx_int_t ngx_http_atls_stream_seal_record(ngx_http_atls_post_t *post,
    ngx_uint_t last, u_char *p);


ngx_int_t
ngx_http_atls_stream_message(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_coding_open(post->coding, &post->body, &post->plain,
                                   &post->plain_len);

    if (rc == NGX_DECLINED) {
        ngx_http_atls_stream_end_session(post, ngx_http_atls_end_refused);
        return NGX_ERROR;
    }

    return ngx_http_atls_stream_next(post, rc);
}


/*
 * RFC 8188, section 2: all records but the last have the same size.  So data
 * are collected, and a record is sealed when there are more.
 */

ngx_int_t
ngx_http_atls_stream_seal_message(ngx_http_atls_post_t *post,
    struct iovec *iov, ngx_uint_t niov, size_t len)
{
    u_char  *p;

    if (ngx_http_atls_coding_room(post->coding) == 0) {

        p = ngx_http_atls_stream_room(post,
                                 ngx_http_atls_coding_size(post->coding, 0));
        if (p == NULL) {
            return post->answer.error ? NGX_ERROR : NGX_AGAIN;
        }

        if (ngx_http_atls_stream_seal_record(post, 0, p) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_atls_coding_add(post->coding, iov, niov);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD plaintext out: %uz", post->label, len);

    ngx_http_atls_stream_send_later(post);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_stream_seal_record(ngx_http_atls_post_t *post, ngx_uint_t last,
    u_char *p)
{
    size_t   len;
    ssize_t  n;

    len = post->coding->plain_len;

    n = ngx_http_atls_coding_seal(post->coding, last, p);

    if (n < 0) {
        ngx_ssl_error(NGX_LOG_ALERT, post->request->connection->log, 0,
                      "atls record of a message cannot be sealed");
        ngx_http_atls_stream_end_session(post, ngx_http_atls_end_cut);
        return NGX_ERROR;
    }

    ngx_log_debug5(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD message record out: %z, number:%uL, last:%ui, "
                   "plaintext:%uz", post->label, n,
                   post->coding->out.key.seq - 1, last, len);

    post->sealed = 1;
    ngx_http_atls_answer_commit(&post->answer, n);
    ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_OUT, len);

    return NGX_OK;
}


ngx_uint_t
ngx_http_atls_stream_pending(const ngx_http_atls_post_t *post)
{
    return post->stage == ngx_http_atls_post_message && post->coding->plain_len;
}


/* Without room, this function is called again when there is some. */

ngx_int_t
ngx_http_atls_stream_pad(ngx_http_atls_post_t *post)
{
    u_char  *p;

    if (!ngx_http_atls_stream_pending(post) || post->answer.length) {
        return NGX_OK;
    }

    p = ngx_http_atls_answer_room(&post->answer,
                                  ngx_http_atls_coding_size(post->coding, 0));
    if (p == NULL) {
        return post->answer.error ? NGX_ERROR : NGX_OK;
    }

    return ngx_http_atls_stream_seal_record(post, 0, p);
}


/* The buffers may be full: then another one is used. */

ngx_int_t
ngx_http_atls_stream_last(ngx_http_atls_post_t *post)
{
    u_char  *p;
    size_t   size;

    size = ngx_http_atls_coding_size(post->coding, 1);

    p = ngx_http_atls_answer_room(&post->answer, size);

    if (p == NULL) {
        p = ngx_http_atls_answer_add(&post->answer, size);
        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    return ngx_http_atls_stream_seal_record(post, 1, p);
}
