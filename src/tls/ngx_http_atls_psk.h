
/*
 * Pre-shared keys (atls_psk_file): external ones of TLS 1.3 (RFC 8446,
 * section 4.2.11) and those of TLS 1.2's PSK suites (RFC 4279, RFC 5489).
 */


#ifndef _NGX_HTTP_ATLS_PSK_H_INCLUDED_
#define _NGX_HTTP_ATLS_PSK_H_INCLUDED_


#include "ngx_http_atls.h"


#define NGX_HTTP_ATLS_PSK_MAX_IDENTITY  128     /* bytes */
#define NGX_HTTP_ATLS_PSK_MAX_KEY       256


/* The handler of the "atls_psk_file" directive: reads the file. */

char *ngx_http_atls_psk_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Sets up the SSL_CTX of alcf->ssl, if alcf->psks is not NULL. */

ngx_int_t ngx_http_atls_psk_conf(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * Called from the ClientHello callback when the server is known: external
 * pre-shared keys of TLS 1.3 require suites with SHA-256, so such a suite is
 * selected if the client offers a known key.
 */

ngx_int_t ngx_http_atls_psk_client_hello(ngx_ssl_conn_t *ssl,
    ngx_http_atls_psks_t *psks);

/*
 * A 64-bit hash of an identity and its key, compared with that of a session
 * after a reload.  0: no such identity.
 */

uint64_t ngx_http_atls_psk_policy(ngx_http_atls_psks_t *psks,
    ngx_str_t *identity);


#endif /* _NGX_HTTP_ATLS_PSK_H_INCLUDED_ */
