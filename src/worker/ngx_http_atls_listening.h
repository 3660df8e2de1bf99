
/*
 * The listening structure of a connection without a listening socket: one
 * address, with plain HTTP/1.x only.
 */


#ifndef _NGX_HTTP_ATLS_LISTENING_H_INCLUDED_
#define _NGX_HTTP_ATLS_LISTENING_H_INCLUDED_


#include "ngx_http_atls.h"


typedef struct {
    ngx_listening_t          listening;
    ngx_http_port_t          port;

    union {
        ngx_http_in_addr_t   in;
#if (NGX_HAVE_INET6)
        ngx_http_in6_addr_t  in6;
#endif
    } addr;
} ngx_http_atls_listening_t;


/*
 * Fills al, which must exist as long as the connection, and sets c->listening.
 * It is a copy of ls, which is in the memory of the cycle, with one of its
 * addresses; cscf is the default server of requests.
 */

void ngx_http_atls_listening_init(ngx_http_atls_listening_t *al,
    ngx_connection_t *c, ngx_listening_t *ls, ngx_http_addr_conf_t *conf,
    ngx_http_core_srv_conf_t *cscf);

/*
 * Copies addresses to the pool of a connection, which may outlive them.  text:
 * the text of sockaddr.
 */

ngx_int_t ngx_http_atls_listening_addrs(ngx_connection_t *c,
    struct sockaddr *sockaddr, socklen_t socklen, struct sockaddr *local,
    socklen_t local_socklen, ngx_str_t *text);


#endif /* _NGX_HTTP_ATLS_LISTENING_H_INCLUDED_ */
