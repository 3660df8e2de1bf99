
/*
 * Mail between workers: a message with a descriptor, for the worker in a slot.
 * A mailbox is a datagram socket connected to itself, or a socket pair on
 * systems where this is not possible.  The master creates it before it forks:
 * only processes that have inherited it can send to it.  A worker started in
 * the slot of a dead one gets the same mailbox; so messages include the id of
 * the recipient.
 */


#ifndef _NGX_HTTP_ATLS_MAILBOX_H_INCLUDED_
#define _NGX_HTTP_ATLS_MAILBOX_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_proxy.h"
#include "ngx_http_atls_worker.h"


typedef struct {
    uint32_t                 owner;         /* recipient's id */
    uint64_t                 endpoint;      /* id of the endpoint */
    uint64_t                 home;          /* that of the session */
    ngx_uint_t               peer;          /* from another machine */
    ngx_uint_t               secure;        /* client uses TLS */
    size_t                   limit_rate;    /* for the response */
    size_t                   limit_rate_after;
    ngx_uint_t               log_level;     /* for "debug_connection"; or 0 */

    socklen_t                socklen;       /* addresses of the client */
    socklen_t                local_socklen;
    socklen_t                listen_socklen;

    ngx_sockaddr_t           sockaddr;
    ngx_sockaddr_t           local_sockaddr;
    ngx_sockaddr_t           listen_sockaddr;
    int                      listen_type;

    size_t                   proxy_size;    /* size of proxy; or 0 */

    union {
        ngx_proxy_protocol_t protocol;
        u_char               data[NGX_HTTP_ATLS_PROXY_SIZE];
    } proxy;
} ngx_http_atls_mail_t;


/* The size of a message without unused space. */

#define ngx_http_atls_mail_size(mail)                                         \
    (offsetof(ngx_http_atls_mail_t, proxy) + (mail)->proxy_size)


/*
 * Takes over the descriptor.  If "full" is set, the process is out of
 * descriptors and can only report this.
 */

typedef void (*ngx_http_atls_mail_pt)(ngx_http_atls_mail_t *mail,
    ngx_socket_t fd, ngx_uint_t full, ngx_log_t *log);


/*
 * In the master: creates mailboxes for the workers of a configuration, and logs
 * if there are not enough descriptors; closes all of them.
 */

void ngx_http_atls_mailbox_init_module(ngx_cycle_t *cycle);
void ngx_http_atls_mailbox_exit_module(void);

/* The unique serial number of the mailbox of a slot; 0: none. */

uint32_t ngx_http_atls_mailbox_serial(ngx_uint_t slot);

/* In a worker: opens its mailbox; empties it on exit. */

ngx_int_t ngx_http_atls_mailbox_init_worker(ngx_cycle_t *cycle,
    ngx_http_atls_mail_pt handler);
void ngx_http_atls_mailbox_exit_worker(ngx_log_t *log);

/* Whether this process can send to the mailbox read by a worker. */

ngx_uint_t ngx_http_atls_mailbox_known(ngx_http_atls_owner_t *owner);

/*
 * Sends a message to a worker whose mailbox is known; the descriptor is still
 * owned by the caller.  NGX_ERROR, logged: it cannot be sent.
 */

ngx_int_t ngx_http_atls_mailbox_send(ngx_http_atls_owner_t *owner,
    ngx_http_atls_mail_t *mail, ngx_socket_t fd, ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_MAILBOX_H_INCLUDED_ */
