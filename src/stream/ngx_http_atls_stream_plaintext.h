
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The plaintext of a POST, post->plain, and of its response.  This file opens
 * and seals the TLS records of an established session; a handshake, a message
 * and DTLS have a file each, which is called by the stage of the POST.
 */


#ifndef _NGX_HTTP_ATLS_STREAM_PLAINTEXT_H_INCLUDED_
#define _NGX_HTTP_ATLS_STREAM_PLAINTEXT_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Returns the next plaintext.  NGX_OK: at *data, to be taken with
 * ngx_http_atls_stream_take().  NGX_AGAIN: more of the body is required;
 * NGX_DONE: no more data; NGX_ERROR: a record was rejected; otherwise a status
 * or a problem, post->status.
 */

ngx_int_t ngx_http_atls_stream_plaintext(ngx_http_atls_post_t *post,
    u_char **data, size_t *len);
void ngx_http_atls_stream_take(ngx_http_atls_post_t *post, size_t len);

/*
 * Processes the result of trl_channel_open() for a record, whose plaintext is
 * post->plain.
 */

void ngx_http_atls_stream_opened(ngx_http_atls_post_t *post, int rc);

/* Pushes back the last bytes taken.  NGX_ERROR: no memory. */

ngx_int_t ngx_http_atls_stream_push_back(ngx_http_atls_post_t *post,
    u_char *data, size_t len);

/*
 * Encrypts a record of the gathered plaintext.  NGX_OK; NGX_AGAIN: the answer
 * is full, the inner connection will be notified; NGX_ERROR.
 */

ngx_int_t ngx_http_atls_stream_seal(ngx_http_atls_post_t *post,
    struct iovec *iov, ngx_uint_t niov, size_t len);

/*
 * Adds a pending answer, for example to a KeyUpdate, or a short record of n
 * bytes; n is 0 if there is none, or negative on error.
 */

ngx_int_t ngx_http_atls_stream_answer(ngx_http_atls_post_t *post);
ngx_int_t ngx_http_atls_stream_short(ngx_http_atls_post_t *post,
    u_char *record, ssize_t n);

/* The maximum plaintext size of a record. */

size_t ngx_http_atls_stream_max(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_STREAM_PLAINTEXT_H_INCLUDED_ */
