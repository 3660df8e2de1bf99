
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * What the process that serves a relayed POST has to know about the connection
 * of the client: as mail to another worker, and as a header to another machine.
 */


#ifndef _NGX_HTTP_ATLS_RELAY_MAIL_H_INCLUDED_
#define _NGX_HTTP_ATLS_RELAY_MAIL_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_mailbox.h"


#define NGX_HTTP_ATLS_RELAY_HEADER  "Atls-Relay"


/* home: the id of the session's endpoint.  NGX_ERROR: logged. */

ngx_int_t ngx_http_atls_relay_mail(ngx_http_request_t *r, uint64_t home,
    ngx_http_atls_mail_t *mail);

/*
 * The value of the header, allocated from the pool; and the mail of a value.
 * NGX_ERROR: of another version, or there is no such endpoint, or no memory.
 */

ngx_int_t ngx_http_atls_relay_mail_write(ngx_http_atls_mail_t *mail,
    ngx_pool_t *pool, ngx_str_t *text);
ngx_int_t ngx_http_atls_relay_mail_read(ngx_str_t *text, ngx_pool_t *pool,
    ngx_http_atls_mail_t *mail);


#endif /* _NGX_HTTP_ATLS_RELAY_MAIL_H_INCLUDED_ */
