
/*
 * A relayed POST at the worker that serves it: a connection that came by mail
 * instead of from a listening socket.  All phases but the content phase are
 * behind the POST, and its log line is another worker's.
 */


#ifndef _NGX_HTTP_ATLS_RELAYED_H_INCLUDED_
#define _NGX_HTTP_ATLS_RELAYED_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_mailbox.h"


/* Takes a connection, or answers 503; ngx_http_atls_mail_pt. */

void ngx_http_atls_relayed_accept(ngx_http_atls_mail_t *mail, ngx_socket_t fd,
    ngx_uint_t full, ngx_log_t *log);

/* 1 for a connection of such requests. */

ngx_uint_t ngx_http_atls_relayed(ngx_connection_t *c);

/* 1 if the client's connection is one over TLS, whether relayed or not. */

ngx_uint_t ngx_http_atls_relayed_secure(ngx_connection_t *c);

/* In the post read phase: goes to the content handler.  Returns NGX_DONE. */

ngx_int_t ngx_http_atls_relayed_serve(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ATLS_RELAYED_H_INCLUDED_ */
