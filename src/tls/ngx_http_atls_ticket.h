
/*
 * Resumption: session tickets that any worker can open, also after a reload,
 * and early data, which a ticket is good for once.
 *
 * Without key files the keys are in the zone and change by themselves.  What
 * a ticket says, besides what OpenSSL puts into it: the policy it was made
 * under, since when its client is known, and a number in the zone.
 */


#ifndef _NGX_HTTP_ATLS_TICKET_H_INCLUDED_
#define _NGX_HTTP_ATLS_TICKET_H_INCLUDED_


#include "ngx_http_atls.h"


/* RFC 8446, section 4.6.1: no ticket is good for longer, in seconds. */

#define NGX_HTTP_ATLS_TICKET_LIFETIME  604800


/* Makes room for this worker's copy of the zone's keys; and wipes it. */

ngx_int_t ngx_http_atls_ticket_init_worker(ngx_log_t *log);
void ngx_http_atls_ticket_exit_worker(void);

/*
 * Sets up the SSL_CTX of alcf->ssl, which has to be done for each one that a
 * handshake may begin with or go over to.  It goes before
 * ngx_ssl_conf_commands(), which may change some of it.  Errors are logged,
 * with the directive.
 */

ngx_int_t ngx_http_atls_ticket_conf(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * To be called inside of the ClientHello callback, when the handshake goes
 * over to the SSL_CTX of alcf->ssl: an SSL has its number of tickets and its
 * limit of early data from the SSL_CTX that it was made of, and
 * SSL_set_SSL_CTX() changes neither.  Nor does it change the options, which
 * are the caller's to copy: SSL_OP_NO_TICKET is among them.
 */

void ngx_http_atls_ticket_apply(ngx_ssl_conn_t *ssl,
    ngx_http_atls_loc_conf_t *alcf);


#endif /* _NGX_HTTP_ATLS_TICKET_H_INCLUDED_ */
