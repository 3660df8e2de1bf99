
/*
 * The listening socket that a connection without one seems to have come to:
 * one address, with no protocol but plain HTTP/1.x.
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
 * Fills al, which is of the connection's lifetime, and makes it c->listening.
 * It is a copy of ls, whose memory is the cycle's, and of one of its
 * addresses; requests are for the server cscf unless their Host says another.
 */

void ngx_http_atls_listening_init(ngx_http_atls_listening_t *al,
    ngx_connection_t *c, ngx_listening_t *ls, ngx_http_addr_conf_t *conf,
    ngx_http_core_srv_conf_t *cscf);

/*
 * Gives a connection copies, from its pool, of addresses that it may outlive.
 * text: of sockaddr.
 */

ngx_int_t ngx_http_atls_listening_addrs(ngx_connection_t *c,
    struct sockaddr *sockaddr, socklen_t socklen, struct sockaddr *local,
    socklen_t local_socklen, ngx_str_t *text);


#endif /* _NGX_HTTP_ATLS_LISTENING_H_INCLUDED_ */
