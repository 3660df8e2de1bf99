
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * A POST of an established session with DTLS, post->datagrams: how its records
 * end the session, and the last flight of the handshake, sent again.
 */


#ifndef _NGX_HTTP_ATLS_STREAM_DATAGRAMS_H_INCLUDED_
#define _NGX_HTTP_ATLS_STREAM_DATAGRAMS_H_INCLUDED_


#include "ngx_http_atls.h"


/* Opens the next records; results as of ngx_http_atls_stream_next(). */

ngx_int_t ngx_http_atls_stream_datagrams(ngx_http_atls_post_t *post);

/*
 * Reserves numbers for the next record; "last": for the final alert.
 * NGX_ERROR: there are none, and the POST ends; logged.
 */

ngx_int_t ngx_http_atls_stream_reserve(ngx_http_atls_post_t *post,
    ngx_uint_t last);


#endif /* _NGX_HTTP_ATLS_STREAM_DATAGRAMS_H_INCLUDED_ */
