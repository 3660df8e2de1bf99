
/*
 * The TLS side of the configuration: everything that is set in an SSL_CTX.
 */


#ifndef _NGX_HTTP_ATLS_SSL_H_INCLUDED_
#define _NGX_HTTP_ATLS_SSL_H_INCLUDED_


#include "ngx_http_atls.h"


#define NGX_HTTP_ATLS_CIPHERS                                                 \
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM:!PSK"


/*
 * Makes alcf->ssl of the directives, once they are merged.  Errors are said
 * in the log, with the directive.
 */

ngx_int_t ngx_http_atls_ssl_create(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/* The handler of the "atls_password_file" directive. */

char *ngx_http_atls_ssl_password_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The name of a suite as OpenSSL has it, by its IANA number; NULL if none. */

const char *ngx_http_atls_ssl_cipher_name(ngx_ssl_t *ssl, ngx_uint_t suite);


#endif /* _NGX_HTTP_ATLS_SSL_H_INCLUDED_ */
