
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The start of a POST with DTLS records. */


#ifndef _NGX_HTTP_ATLS_BEGIN_DTLS_H_INCLUDED_
#define _NGX_HTTP_ATLS_BEGIN_DTLS_H_INCLUDED_


#include "ngx_http_atls.h"


/* The part of a ClientHello that is checked, up to its random value. */

#define NGX_HTTP_ATLS_DTLS_HELLO  (13 + 12 + 2 + 32)


/* Whether a body, of which the first bytes are given, begins with DTLS. */

ngx_uint_t ngx_http_atls_begin_dtls(ngx_http_atls_post_t *post, u_char *data,
    size_t len);

/* Whether it begins with a ClientHello, which is not encrypted. */

ngx_uint_t ngx_http_atls_begin_dtls_hello(u_char *data, size_t len);

/*
 * NGX_OK: the ClientHello is that of the handshake or session, and was sent
 * again; NGX_DECLINED: it is another one; NGX_AGAIN, or a status.
 */

ngx_int_t ngx_http_atls_begin_dtls_again(ngx_http_atls_post_t *post);

/*
 * Prepares a POST for an established session, of which it gets a copy.  NGX_OK,
 * or a status or a problem.
 */

ngx_int_t ngx_http_atls_begin_dtls_copy(ngx_http_atls_post_t *post);
ngx_int_t ngx_http_atls_begin_dtls_open(ngx_http_atls_post_t *post);

/* The same for the rest of the POST with which the handshake was finished. */

ngx_int_t ngx_http_atls_begin_dtls_finished(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_BEGIN_DTLS_H_INCLUDED_ */
