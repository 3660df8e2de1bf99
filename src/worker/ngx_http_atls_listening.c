
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_listening.h"


void
ngx_http_atls_listening_init(ngx_http_atls_listening_t *al,
    ngx_connection_t *c, ngx_listening_t *ls, ngx_http_addr_conf_t *conf,
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

    *addr = *conf;

    addr->default_server = cscf;
    addr->ssl = 0;
    addr->http2 = 0;
    addr->proxy_protocol = 0;
    ngx_http_atls_no_quic(addr);

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
