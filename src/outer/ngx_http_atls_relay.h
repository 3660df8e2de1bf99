
/*
 * A POST for a session that only another worker can serve is relayed to it:
 * its content handler is an upstream whose peer is that worker.  The request
 * goes there as HTTP/1.1 over one end of a socket pair; the other end goes by
 * mail.  Streaming both ways, timeouts and clients that leave are upstream's.
 */


#ifndef _NGX_HTTP_ATLS_RELAY_H_INCLUDED_
#define _NGX_HTTP_ATLS_RELAY_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_worker.h"


/* Sets conf->relay up, of a location with "atls on". */

ngx_int_t ngx_http_atls_relay_conf(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);

/*
 * Relays a POST whose body is not read yet; the cookie is the session's.
 * Returns what a content handler does, or NGX_DECLINED if there is no way to
 * the other worker, logged: then nothing has been done.
 */

ngx_int_t ngx_http_atls_relay(ngx_http_atls_post_t *post,
    ngx_http_atls_owner_t *owner, ngx_str_t *cookie);


#endif /* _NGX_HTTP_ATLS_RELAY_H_INCLUDED_ */
