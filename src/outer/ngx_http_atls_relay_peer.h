
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The other worker as an upstream peer, to which a connection is sent by mail.
 */


#ifndef _NGX_HTTP_ATLS_RELAY_PEER_H_INCLUDED_
#define _NGX_HTTP_ATLS_RELAY_PEER_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_node.h"


struct ngx_http_atls_relay_s {
    ngx_http_request_t        *request;
    ngx_http_atls_owner_t      owner;
    ngx_connection_t          *connection;     /* until passed to upstream */
    ngx_str_t                  session;        /* identifier as text */
    uint64_t                   home;           /* id of its endpoint */

    ngx_http_atls_mail_t      *mail;           /* of a POST that was relayed to
                                                  this machine; or NULL */
    ngx_str_t                  head;           /* of the request to another
                                                  machine, sent; or empty */
    off_t                      length;         /* of the body; or -1 */
    ngx_http_atls_naming_t     naming;         /* whether that exists */
    ngx_uint_t                 missing;        /* how often it did not */
    ngx_http_atls_main_conf_t *main_conf;

    ngx_recv_pt                recv;           /* of the connection */
    ngx_send_chain_pt          send_chain;

    ngx_http_status_t          status;
    ngx_http_chunked_t         chunked;

    ngx_chain_t               *free;           /* chunk headers */
    ngx_chain_t               *busy;

    ngx_event_t                timer;
    ngx_msec_t                 timeout;        /* if the owner is stuck */

    unsigned                   started:1;      /* sent by mail */
    unsigned                   lost:1;         /* owner exited or is stuck */
    unsigned                   stuck:1;        /* owner does not respond */
    unsigned                   head_sent:1;
    unsigned                   answered:1;     /* response has started */
};


/* The relay of a request. */

ngx_http_atls_relay_t *ngx_http_atls_relay_get(ngx_http_request_t *r);

/* Prepares a connection to be used by a relay. */

void ngx_http_atls_relay_peer_use(ngx_http_atls_relay_t *relay,
    ngx_connection_t *c);

/* The upstream of relayed requests. */

ngx_http_upstream_srv_conf_t *ngx_http_atls_relay_peer_upstream(void);

/* Whether the other worker does not respond any more; logged. */

ngx_uint_t ngx_http_atls_relay_peer_stuck(ngx_http_atls_owner_t *owner,
    ngx_msec_t timeout, ngx_log_t *log);

/* Sends the connection.  NGX_ERROR: there is none, or it cannot be sent. */

ngx_int_t ngx_http_atls_relay_peer_connect(ngx_http_atls_relay_t *relay);
void ngx_http_atls_relay_peer_cleanup(void *data);


#endif /* _NGX_HTTP_ATLS_RELAY_PEER_H_INCLUDED_ */
