
/*
 * Listening sockets of the configuration, and the listening structure of a
 * connection without one: a single address, with plain HTTP/1.x only.
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
 * It is a copy of ls, which is in the memory of the cycle; names are the
 * virtual servers of requests, or NULL, and cscf is their default server.
 */

void ngx_http_atls_listening_init(ngx_http_atls_listening_t *al,
    ngx_connection_t *c, ngx_listening_t *ls, ngx_http_virtual_names_t *names,
    ngx_http_core_srv_conf_t *cscf);

/*
 * Copies addresses to the pool of a connection, which may outlive them.  text:
 * the text of sockaddr.
 */

ngx_int_t ngx_http_atls_listening_addrs(ngx_connection_t *c,
    struct sockaddr *sockaddr, socklen_t socklen, struct sockaddr *local,
    socklen_t local_socklen, ngx_str_t *text);

/*
 * The listening socket with an address and a type, or else the wildcard of its
 * port, which may include the address; or NULL.
 */

ngx_listening_t *ngx_http_atls_listening_get(struct sockaddr *sockaddr,
    socklen_t socklen, int type);

/* The virtual servers for a local address of a listening socket, or NULL. */

ngx_http_virtual_names_t *ngx_http_atls_listening_names(ngx_listening_t *ls,
    struct sockaddr *local);

/*
 * Of the virtual servers for several addresses (ngx_addr_t), the given ones, or
 * else those for the first address.
 */

ngx_http_virtual_names_t *ngx_http_atls_listening_choose(ngx_array_t *addrs,
    ngx_http_virtual_names_t *names);


#endif /* _NGX_HTTP_ATLS_LISTENING_H_INCLUDED_ */
