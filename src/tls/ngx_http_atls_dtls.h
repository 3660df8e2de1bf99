
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* DTLS in bodies: the differences to TLS in settings of OpenSSL. */


#ifndef _NGX_HTTP_ATLS_DTLS_H_INCLUDED_
#define _NGX_HTTP_ATLS_DTLS_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * The maximum size of a record: it must fit into a datagram if a client has the
 * records sent over UDP.  IPv6 requires a link MTU of 1280 (RFC 8200, section
 * 5); its header and that of UDP have 48 bytes.
 */

#define NGX_HTTP_ATLS_DTLS_MTU  1232


/* Replaces the context of TLS, which must be new, by one of DTLS. */

ngx_int_t ngx_http_atls_dtls_context(ngx_ssl_t *ssl);

/* Sets up a new connection.  NGX_ERROR. */

ngx_int_t ngx_http_atls_dtls_connection(ngx_ssl_conn_t *ssl);


#endif /* _NGX_HTTP_ATLS_DTLS_H_INCLUDED_ */
