
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * A POST with exported keys: its records and those of its response, by
 * post->coding.
 */


#ifndef _NGX_HTTP_ATLS_STREAM_MESSAGE_H_INCLUDED_
#define _NGX_HTTP_ATLS_STREAM_MESSAGE_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Opens the next record of a message.  NGX_ERROR: it is refused; others as of
 * ngx_http_atls_stream_next().
 */

ngx_int_t ngx_http_atls_stream_message(ngx_http_atls_post_t *post);

/* See ngx_http_atls_stream_seal(). */

ngx_int_t ngx_http_atls_stream_seal_message(ngx_http_atls_post_t *post,
    struct iovec *iov, ngx_uint_t niov, size_t len);

/*
 * Whether there is plaintext of an incomplete record; pads and seals it, if
 * nothing else is about to be sent; seals the last record.  NGX_ERROR, logged:
 * no memory, or OpenSSL failed.
 */

ngx_uint_t ngx_http_atls_stream_pending(const ngx_http_atls_post_t *post);
ngx_int_t ngx_http_atls_stream_pad(ngx_http_atls_post_t *post);
ngx_int_t ngx_http_atls_stream_last(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_STREAM_MESSAGE_H_INCLUDED_ */
