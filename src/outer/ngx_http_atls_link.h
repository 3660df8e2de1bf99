
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Connections to other machines, for relayed POSTs: TLS, with the certificate
 * of the server with "atls_peer" on both sides.  They are used again.
 *
 * The head of the request is sent here, with "Expect: 100-continue": a machine
 * may close an idle connection at any time, but not one with a request in
 * progress.  So nothing of the POST's body is lost with the connection.
 */


#ifndef _NGX_HTTP_ATLS_LINK_H_INCLUDED_
#define _NGX_HTTP_ATLS_LINK_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_node.h"


#define NGX_HTTP_ATLS_LINK_ANSWER  25          /* bytes of a 100 response */


typedef struct ngx_http_atls_link_s  ngx_http_atls_link_t;

typedef void (*ngx_http_atls_link_pt)(ngx_http_atls_link_t *link);

struct ngx_http_atls_link_s {
    ngx_http_atls_store_t       *store;
    ngx_http_atls_node_t         node;
    ngx_str_t                    head;         /* of the request */
    ngx_log_t                   *log;
    ngx_http_atls_link_pt        handler;
    void                        *data;

    ngx_int_t                    rc;           /* NGX_OK; NGX_DECLINED: refused;
                                                  NGX_ERROR: unreachable */
    ngx_peer_connection_t        peer;
    ngx_str_t                    name;

    u_char                       answer[NGX_HTTP_ATLS_LINK_ANSWER];
    size_t                       received;
    unsigned                     used:1;       /* it was used before */
};


/* Initializes store->ssl, if store->peer has TLS. */

ngx_int_t ngx_http_atls_link_conf(ngx_conf_t *cf, ngx_http_atls_store_t *store);

/*
 * Connects; store, node, head, log, handler and data are set.  The handler is
 * called later, or at once: with NGX_OK, it gets link->peer.connection, on
 * which the other machine waits for the body.
 */

void ngx_http_atls_link_connect(ngx_http_atls_link_t *link);
void ngx_http_atls_link_cancel(ngx_http_atls_link_t *link);


#endif /* _NGX_HTTP_ATLS_LINK_H_INCLUDED_ */
