
/* The TLS configuration: all parameters of an SSL_CTX. */


#ifndef _NGX_HTTP_ATLS_SSL_H_INCLUDED_
#define _NGX_HTTP_ATLS_SSL_H_INCLUDED_


#include "ngx_http_atls.h"


/* Those of the second are added where there are pre-shared keys. */

#define NGX_HTTP_ATLS_CIPHERS                                                 \
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM:!PSK"

#define NGX_HTTP_ATLS_PSK_CIPHERS                                             \
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM"                                \
    ":kECDHEPSK+CHACHA20:kPSK+AESGCM:kPSK+CHACHA20:kPSK+AESCCM:kPSK+AESCCM8"


/*
 * Makes alcf->ssl of the directives, once they are merged.  Errors are said
 * in the log, with the directive and its line.
 */

ngx_int_t ngx_http_atls_ssl_create(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * Of a server without a certificate: makes alcf->policy only, for clients that
 * other servers' directives, which may be the same, have let in.
 */

ngx_int_t ngx_http_atls_ssl_policy(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/* Has a server, whose directives these are, all that it takes? */

ngx_uint_t ngx_http_atls_ssl_complete(ngx_http_atls_loc_conf_t *alcf);

/*
 * The protocol that was negotiated by ALPN (RFC 7301), as a number of two
 * bits, 0 for none; and its name, empty for none.
 */

ngx_uint_t ngx_http_atls_ssl_alpn(ngx_ssl_conn_t *ssl);
ngx_str_t *ngx_http_atls_ssl_alpn_name(ngx_uint_t alpn);

/* The handler of the "atls_password_file" directive. */

char *ngx_http_atls_ssl_password_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The name of a suite as OpenSSL has it, by its IANA number; NULL if none. */

const char *ngx_http_atls_ssl_cipher_name(ngx_ssl_t *ssl, ngx_uint_t suite);


#endif /* _NGX_HTTP_ATLS_SSL_H_INCLUDED_ */
