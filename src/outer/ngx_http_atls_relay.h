
/*
 * Relays a POST to another worker if only this can serve its session: the
 * content handler is an upstream with that worker as its peer.  The request is
 * sent as HTTP/1.1 over one end of a socket pair; the other end is sent by
 * mail.  Streaming in both directions, timeouts and closed client connections
 * are handled by the upstream module.
 */


#ifndef _NGX_HTTP_ATLS_RELAY_H_INCLUDED_
#define _NGX_HTTP_ATLS_RELAY_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_node.h"


/* Initializes conf->relay of a location with "atls on" or "atls_peer on". */

ngx_int_t ngx_http_atls_relay_conf(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);

/*
 * Relays a POST with an unread body; the text is the identifier of its session.
 * mail: that of another machine, or NULL.  Returns a content handler code, or
 * NGX_DECLINED, logged, if the other worker cannot be reached: then nothing has
 * been done.
 */

ngx_int_t ngx_http_atls_relay(ngx_http_atls_post_t *post,
    ngx_http_atls_owner_t *owner, ngx_str_t *text, ngx_http_atls_mail_t *mail);

/*
 * The same to another machine, in two steps: the head of the request, which is
 * sent first, see ngx_http_atls_link.h; then the rest, over this connection.
 * NULL: no memory.
 */

ngx_http_atls_relay_t *ngx_http_atls_relay_prepare(ngx_http_atls_post_t *post,
    ngx_str_t *text, ngx_str_t *head);
ngx_int_t ngx_http_atls_relay_node(ngx_http_atls_post_t *post,
    ngx_http_atls_relay_t *relay, ngx_http_atls_node_t *node,
    ngx_connection_t *c);


#endif /* _NGX_HTTP_ATLS_RELAY_H_INCLUDED_ */
