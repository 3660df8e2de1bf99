
/*
 * A relayed POST in the worker that serves it: a connection received by mail
 * instead of a listening socket.  Of the phases, only the content phase is run;
 * the others, and logging, are done by the other worker.
 */


#ifndef _NGX_HTTP_ATLS_RELAYED_H_INCLUDED_
#define _NGX_HTTP_ATLS_RELAYED_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_mailbox.h"


/* In the request to this worker: how the POST names its session, and the id. */

#define NGX_HTTP_ATLS_SESSION_HEADER  "Atls-Session"


/* Accepts a connection, or responds with 503; ngx_http_atls_mail_pt. */

void ngx_http_atls_relayed_accept(ngx_http_atls_mail_t *mail, ngx_socket_t fd,
    ngx_uint_t full, ngx_log_t *log);

/* 1 for connections of relayed POSTs. */

ngx_uint_t ngx_http_atls_relayed(ngx_connection_t *c);

/* 1 if the client's connection uses TLS, whether relayed or not. */

ngx_uint_t ngx_http_atls_relayed_secure(ngx_connection_t *c);

/*
 * The session named by the other worker: the identifier as text, and
 * NGX_HTTP_ATLS_TRACKING_*.  NGX_ERROR: the other worker has a version of the
 * module that does not send the header.
 */

ngx_int_t ngx_http_atls_relayed_session(ngx_http_request_t *r, ngx_str_t *text,
    ngx_uint_t *tracking);

/*
 * In the post-read phase: proceeds to the content handler.  Returns NGX_DONE.
 */

ngx_int_t ngx_http_atls_relayed_serve(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ATLS_RELAYED_H_INCLUDED_ */
