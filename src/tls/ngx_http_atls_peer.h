
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* Input and results of OpenSSL's callbacks for one SSL. */


#ifndef _NGX_HTTP_ATLS_PEER_H_INCLUDED_
#define _NGX_HTTP_ATLS_PEER_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_sni.h"


typedef struct {
    ngx_connection_t           connection;     /* must be first; without a
                                                  socket, with a separate pool
                                                  and log */
    ngx_shm_zone_t            *zone;

    ngx_http_atls_target_t     target;         /* server requested */

    ngx_str_t                  sni;
    ngx_str_t                  psk;            /* identity proposed */

    time_t                     remaining;      /* lifetime of the ticket */
    unsigned                   ticket:1;       /* a ticket was accepted */
} ngx_http_atls_peer_t;


ngx_http_atls_peer_t *ngx_http_atls_peer_get(ngx_ssl_conn_t *ssl);

/*
 * The identity of a pre-shared key proposed by the client, which may be used;
 * and the identity of the key used, empty if there is none.
 */

ngx_int_t ngx_http_atls_peer_set_psk(ngx_http_atls_peer_t *peer,
    const u_char *identity, size_t len);
ngx_str_t ngx_http_atls_peer_psk(ngx_http_atls_peer_t *peer);

/*
 * Called when a ticket was accepted: the session resumed is not an external
 * pre-shared key.  remaining: seconds until a full handshake is required.
 */

void ngx_http_atls_peer_set_ticket(ngx_http_atls_peer_t *peer,
    time_t remaining);


#endif /* _NGX_HTTP_ATLS_PEER_H_INCLUDED_ */
