
/*
 * TLS connections of core ("listen ssl"), by associations of clients: their
 * external pre-shared keys are accepted by servers with
 * atls_association_accept.
 */


#ifndef _NGX_HTTP_ATLS_DIRECT_H_INCLUDED_
#define _NGX_HTTP_ATLS_DIRECT_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_identity.h"


/* Sets up the SSL_CTX of servers, after the configuration is parsed. */

void ngx_http_atls_direct_init(ngx_conf_t *cf);

/*
 * The identity of the client of a connection that was accepted by an
 * association, or NULL.  The connection may be a stream of HTTP/2 or HTTP/3.
 */

ngx_http_atls_identity_t *ngx_http_atls_direct_identity(ngx_connection_t *c);

/*
 * Checks whether a request of such a connection is for the server of the
 * association, which is used up by the first request.  Returns NGX_DECLINED for
 * other connections, NGX_OK, or the status of the response, logged.
 */

ngx_int_t ngx_http_atls_direct_check(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ATLS_DIRECT_H_INCLUDED_ */
