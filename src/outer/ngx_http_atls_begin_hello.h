
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The first bytes of a POST: a ClientHello, or records of a session.  They are
 * only looked at, and remain in the body.
 */


#ifndef _NGX_HTTP_ATLS_BEGIN_HELLO_H_INCLUDED_
#define _NGX_HTTP_ATLS_BEGIN_HELLO_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_record.h"


/*
 * The part of a ClientHello that is checked: record header, message type,
 * length and version.
 */

#define NGX_HTTP_ATLS_CLIENT_HELLO  (TRL_HEADER_SIZE + 1 + 3 + 2)


typedef enum {
    ngx_http_atls_hello_no = 0,
    ngx_http_atls_hello_maybe,                 /* more bytes are needed */
    ngx_http_atls_hello_yes
} ngx_http_atls_hello_e;


/* The beginning of the body. */

typedef struct {
    ngx_http_atls_hello_e   found;
    ngx_uint_t              whole;             /* all bytes are checked */
    u_char                 *data;
    size_t                  len;
} ngx_http_atls_hello_t;


/*
 * Looks at the beginning of the body, and sets post->dtls and the first bytes
 * of its fingerprint.  NGX_OK: as many bytes as required, or the whole body;
 * NGX_DONE: none; NGX_AGAIN: more of the body is required; otherwise a status.
 */

ngx_int_t ngx_http_atls_begin_hello(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello);

/* Whether bytes, at least one, are the start of a ClientHello, without DTLS. */

ngx_http_atls_hello_e ngx_http_atls_begin_client_hello(u_char *data,
    size_t len);

/*
 * Whether data without a session are TLS records of an existing one: the
 * client has lost the cookie, or the cookie was renamed by a reload.
 */

ngx_uint_t ngx_http_atls_begin_goes_on(ngx_http_atls_post_t *post,
    u_char *data, size_t len);


#endif /* _NGX_HTTP_ATLS_BEGIN_HELLO_H_INCLUDED_ */
