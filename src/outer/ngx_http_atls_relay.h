
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
#include "ngx_http_atls_worker.h"


/* Initializes conf->relay of a location with "atls on". */

ngx_int_t ngx_http_atls_relay_conf(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);

/*
 * Relays a POST with an unread body; the text is the identifier of its session.
 * Returns a content handler code, or NGX_DECLINED, logged, if the other worker
 * cannot be reached: then nothing has been done.
 */

ngx_int_t ngx_http_atls_relay(ngx_http_atls_post_t *post,
    ngx_http_atls_owner_t *owner, ngx_str_t *text);


#endif /* _NGX_HTTP_ATLS_RELAY_H_INCLUDED_ */
