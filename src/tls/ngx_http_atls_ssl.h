
/* The TLS configuration: all parameters of an SSL_CTX. */


#ifndef _NGX_HTTP_ATLS_SSL_H_INCLUDED_
#define _NGX_HTTP_ATLS_SSL_H_INCLUDED_


#include "ngx_http_atls.h"


/* The second list is appended if there are pre-shared keys. */

#define NGX_HTTP_ATLS_CIPHERS                                                 \
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM:!PSK"

#define NGX_HTTP_ATLS_PSK_CIPHERS                                             \
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM"                                \
    ":kECDHEPSK+CHACHA20:kPSK+AESGCM:kPSK+CHACHA20:kPSK+AESCCM:kPSK+AESCCM8"


/*
 * Creates alcf->ssl, and alcf->dtls if DTLS is enabled, after the directives
 * are merged.  Errors are logged with the directive and its line.
 */

ngx_int_t ngx_http_atls_ssl_create(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * For a server without a certificate: sets alcf->policy only, to compare it
 * with the policies of other servers.
 */

ngx_int_t ngx_http_atls_ssl_policy(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/* Whether the server has all directives required for handshakes. */

ngx_uint_t ngx_http_atls_ssl_complete(ngx_http_atls_loc_conf_t *alcf);

/*
 * The protocol negotiated by ALPN (RFC 7301) as a 2-bit number, 0 if none; and
 * its name, empty if none.
 */

ngx_uint_t ngx_http_atls_ssl_alpn(ngx_ssl_conn_t *ssl);
ngx_str_t *ngx_http_atls_ssl_alpn_name(ngx_uint_t alpn);

/* The handler of the "atls_password_file" directive. */

char *ngx_http_atls_ssl_password_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The OpenSSL name of a suite by its IANA number; NULL if unknown. */

const char *ngx_http_atls_ssl_cipher_name(ngx_ssl_t *ssl, ngx_uint_t suite);


#endif /* _NGX_HTTP_ATLS_SSL_H_INCLUDED_ */
