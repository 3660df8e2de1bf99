
/*
 * Resumption: session tickets, which any worker can decrypt, also after a
 * reload, and early data, accepted once for each ticket.
 *
 * Without key files, the keys are in the zone and rotated automatically.  In
 * addition to OpenSSL's data, a ticket contains the policy, the time of the
 * full handshake, and a number assigned by the zone.
 */


#ifndef _NGX_HTTP_ATLS_TICKET_H_INCLUDED_
#define _NGX_HTTP_ATLS_TICKET_H_INCLUDED_


#include "ngx_http_atls.h"


/* RFC 8446, section 4.6.1: the maximum lifetime of a ticket, in seconds. */

#define NGX_HTTP_ATLS_TICKET_LIFETIME  604800


/* Allocates this worker's copy of the keys of the zone; wipes it on exit. */

ngx_int_t ngx_http_atls_ticket_init_worker(ngx_log_t *log);
void ngx_http_atls_ticket_exit_worker(void);

/*
 * Sets up the SSL_CTX of alcf->ssl.  It must be called for each SSL_CTX used
 * in handshakes, before ngx_ssl_conf_commands(), which may override settings.
 * Errors are logged with the directive.
 */

ngx_int_t ngx_http_atls_ticket_conf(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * Called in the ClientHello callback after SSL_set_SSL_CTX(), which does not
 * change the number of tickets and the limit of early data.  Options, such as
 * SSL_OP_NO_TICKET, are not changed either, and must be copied by the caller.
 */

void ngx_http_atls_ticket_apply(ngx_ssl_conn_t *ssl,
    ngx_http_atls_loc_conf_t *alcf);


#endif /* _NGX_HTTP_ATLS_TICKET_H_INCLUDED_ */
