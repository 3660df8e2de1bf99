
/*
 * External pre-shared keys of TLS 1.3 in OpenSSL's ClientHello callback (RFC
 * 8446, section 4.2.11).  They require suites with SHA-256, so such a suite is
 * selected if the client offers a known key.
 */


#ifndef _NGX_HTTP_ATLS_HELLO_H_INCLUDED_
#define _NGX_HTTP_ATLS_HELLO_H_INCLUDED_


#include "ngx_http_atls.h"


/* Returns 1 if the identity is the one that is searched for. */

typedef ngx_uint_t (*ngx_http_atls_hello_psk_pt)(void *data,
    ngx_str_t *identity);


/* Calls the function for each identity offered, until it returns 1. */

ngx_uint_t ngx_http_atls_hello_find_psk(ngx_ssl_conn_t *ssl,
    ngx_http_atls_hello_psk_pt handler, void *data);

/*
 * Restricts the suites of TLS 1.3 to those with SHA-256.  NGX_DECLINED: the
 * client offers none of them, and nothing is changed; NGX_ERROR, logged.
 */

ngx_int_t ngx_http_atls_hello_set_suites(ngx_ssl_conn_t *ssl);

/*
 * Whether both sides have TLS 1.3.  The version is selected later.  Otherwise,
 * the suites must not be set: OpenSSL also keeps those of TLS 1.2, which old
 * versions of nginx change later, when they select the server.
 */

ngx_uint_t ngx_http_atls_hello_has_tls13(ngx_ssl_conn_t *ssl);

/* Whether the client offers a suite. */

ngx_uint_t ngx_http_atls_hello_offered(ngx_ssl_conn_t *ssl,
    const SSL_CIPHER *cipher);

/* Whether a suite can be used with external pre-shared keys. */

ngx_uint_t ngx_http_atls_hello_suitable(const SSL_CIPHER *cipher);

/* The session that OpenSSL uses for a key; NULL on errors. */

SSL_SESSION *ngx_http_atls_hello_session(u_char *key, size_t len,
    const SSL_CIPHER *cipher);


#endif /* _NGX_HTTP_ATLS_HELLO_H_INCLUDED_ */
