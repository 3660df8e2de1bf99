
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_listening.h"


void
ngx_http_atls_listening_init(ngx_http_atls_listening_t *al,
    ngx_connection_t *c, ngx_listening_t *ls, ngx_http_virtual_names_t *names,
    ngx_http_core_srv_conf_t *cscf)
{
    ngx_listening_t       *copy;
    ngx_http_addr_conf_t  *addr;

    copy = &al->listening;

    copy->fd = (ngx_socket_t) -1;
    copy->sockaddr = ls->sockaddr;
    copy->socklen = ls->socklen;
    copy->addr_text = ls->addr_text;
    copy->addr_text_max_len = ls->addr_text_max_len;
    copy->type = ls->type;
    copy->handler = ngx_http_init_connection;
    copy->pool_size = ls->pool_size;
    copy->log = ls->log;
    copy->logp = ls->logp;
    copy->servers = &al->port;

    al->port.naddrs = 1;
    al->port.addrs = &al->addr;

    addr = &al->addr.in.conf;

#if (NGX_HAVE_INET6)
    if (c->local_sockaddr->sa_family == AF_INET6) {
        addr = &al->addr.in6.conf;
    }
#endif

    /* no TLS, HTTP/2 or PROXY protocol */

    ngx_memzero(addr, sizeof(ngx_http_addr_conf_t));

    addr->default_server = cscf;
    addr->virtual_names = names;

    c->listening = copy;
}


ngx_int_t
ngx_http_atls_listening_addrs(ngx_connection_t *c, struct sockaddr *sockaddr,
    socklen_t socklen, struct sockaddr *local, socklen_t local_socklen,
    ngx_str_t *text)
{
    u_char  *p;

    p = ngx_palloc(c->pool, socklen + local_socklen + text->len
                            + 2 * NGX_ALIGNMENT);
    if (p == NULL) {
        return NGX_ERROR;
    }

    c->socklen = socklen;
    c->sockaddr = (struct sockaddr *) p;
    ngx_memcpy(p, sockaddr, socklen);

    p = ngx_align_ptr(p + socklen, NGX_ALIGNMENT);

    c->local_socklen = local_socklen;
    c->local_sockaddr = (struct sockaddr *) p;
    ngx_memcpy(p, local, local_socklen);

    p += local_socklen;

    c->addr_text.len = text->len;
    c->addr_text.data = p;
    ngx_memcpy(p, text->data, text->len);

    return NGX_OK;
}


ngx_listening_t *
ngx_http_atls_listening_get(struct sockaddr *sockaddr, socklen_t socklen,
    int type)
{
    ngx_uint_t        i;
    ngx_listening_t  *ls, *wildcard;

    ls = ngx_cycle->listening.elts;
    wildcard = NULL;

    for (i = 0; i < ngx_http_atls_process.nlistening; i++) {

        if (ls[i].handler != ngx_http_init_connection || ls[i].type != type) {
            continue;
        }

        if (ngx_cmp_sockaddr(ls[i].sockaddr, ls[i].socklen, sockaddr, socklen,
                             1)
            == NGX_OK)
        {
            return &ls[i];
        }

        if (ls[i].sockaddr->sa_family == sockaddr->sa_family
            && ngx_inet_get_port(ls[i].sockaddr) == ngx_inet_get_port(sockaddr)
            && ngx_inet_wildcard(ls[i].sockaddr))
        {
            wildcard = &ls[i];
        }
    }

    return wildcard;
}


/* Like ngx_http_init_connection(): the last address is the wildcard. */

ngx_http_virtual_names_t *
ngx_http_atls_listening_names(ngx_listening_t *ls, struct sockaddr *local)
{
    ngx_uint_t            i;
    ngx_http_port_t      *port;
    ngx_http_in_addr_t   *addr;
#if (NGX_HAVE_INET6)
    ngx_http_in6_addr_t  *addr6;
#endif

    port = ls->servers;

    switch (local->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        addr6 = port->addrs;

        for (i = 0; i < port->naddrs - 1; i++) {
            if (ngx_memcmp(&addr6[i].addr6,
                           &((struct sockaddr_in6 *) local)->sin6_addr, 16)
                == 0)
            {
                break;
            }
        }

        return addr6[i].conf.virtual_names;
#endif

    default: /* AF_INET, AF_UNIX */
        addr = port->addrs;

        for (i = 0; i < port->naddrs - 1; i++) {
            if (addr[i].addr
                == ((struct sockaddr_in *) local)->sin_addr.s_addr)
            {
                break;
            }
        }

        return addr[i].conf.virtual_names;
    }
}


ngx_http_virtual_names_t *
ngx_http_atls_listening_choose(ngx_array_t *addrs,
    ngx_http_virtual_names_t *names)
{
    ngx_uint_t                 i, t;
    ngx_addr_t                *addr;
    ngx_listening_t           *ls;
    ngx_http_virtual_names_t  *own, *first;

    static int  types[] = { SOCK_STREAM, SOCK_DGRAM };

    first = NULL;
    addr = addrs->elts;

    for (i = 0; i < addrs->nelts; i++) {

        for (t = 0; t < sizeof(types) / sizeof(int); t++) {

            ls = ngx_http_atls_listening_get(addr[i].sockaddr, addr[i].socklen,
                                             types[t]);
            if (ls == NULL) {
                continue;
            }

            own = ngx_http_atls_listening_names(ls, addr[i].sockaddr);

            if (names && own == names) {
                return names;
            }

            if (i == 0 && first == NULL) {
                first = own;
            }
        }
    }

    return first;
}
