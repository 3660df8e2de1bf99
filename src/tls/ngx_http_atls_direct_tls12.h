
/*
 * Associations in TLS 1.2, with one suite: ECDHE_PSK_WITH_CHACHA20_POLY1305 of
 * RFC 7905.  OpenSSL has no other ECDHE_PSK suite with AEAD.
 */


#ifndef _NGX_HTTP_ATLS_DIRECT_TLS12_H_INCLUDED_
#define _NGX_HTTP_ATLS_DIRECT_TLS12_H_INCLUDED_


#include "ngx_http_atls.h"


/* Returns the number of bytes written to key, 0: the handshake fails. */

typedef unsigned int (*ngx_http_atls_direct_tls12_pt)(ngx_ssl_conn_t *ssl,
    const char *identity, u_char *key, unsigned int max);


/* Whether the suite is configured. */

ngx_uint_t ngx_http_atls_direct_tls12_suite(SSL_CTX *ctx);

/*
 * In the ClientHello callback: makes OpenSSL use the suite if the client offers
 * no other one of the server, whose SSL_CTX is specified.  Otherwise, nothing
 * is changed, and no handshake is changed that would succeed without it.
 */

void ngx_http_atls_direct_tls12_offer(ngx_ssl_conn_t *ssl, SSL_CTX *ctx,
    ngx_http_atls_direct_tls12_pt handler);

/* Whether the suite is that of the handshake in progress, with TLS 1.2. */

ngx_uint_t ngx_http_atls_direct_tls12_selected(ngx_ssl_conn_t *ssl);

/* Whether the handshake with the suite is complete. */

ngx_uint_t ngx_http_atls_direct_tls12_complete(ngx_ssl_conn_t *ssl);

/*
 * Derives the key for TLS 1.2 from that of an association, which is for TLS 1.3
 * only (RFC 8446, appendix E.7).  Both have the same size.
 */

ngx_int_t ngx_http_atls_direct_tls12_key(const u_char *association,
    u_char *key);


#endif /* _NGX_HTTP_ATLS_DIRECT_TLS12_H_INCLUDED_ */
