
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * A POST as a part of a handshake, post->handshake: its body is the input, and
 * the output its response.  When the handshake is finished, it is freed, and
 * the session is opened by post->open().
 */


#ifndef _NGX_HTTP_ATLS_STREAM_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_ATLS_STREAM_HANDSHAKE_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Continues the handshake.  NGX_OK: it is finished, or early data are
 * available; NGX_AGAIN: more of the body is required; NGX_DONE: the body has
 * ended; otherwise post->status.
 */

ngx_int_t ngx_http_atls_stream_handshake(ngx_http_atls_post_t *post);

/*
 * Seals a record of the response to early data at p, which is the room for it.
 * NGX_ERROR: the handshake has failed.
 */

ngx_int_t ngx_http_atls_stream_seal_early(ngx_http_atls_post_t *post,
    struct iovec *iov, ngx_uint_t niov, size_t len, u_char *p);


#endif /* _NGX_HTTP_ATLS_STREAM_HANDSHAKE_H_INCLUDED_ */
