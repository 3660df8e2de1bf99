
/*
 * Mail between workers: a message with a descriptor, for the worker in a slot.
 *
 * The mailboxes are datagram socket pairs, made by the master before it forks,
 * so they need no name anywhere, and a worker that comes into the slot of one
 * that has died has its mailbox too.  A message therefore says whom it is for.
 */


#ifndef _NGX_HTTP_ATLS_MAILBOX_H_INCLUDED_
#define _NGX_HTTP_ATLS_MAILBOX_H_INCLUDED_


#include "ngx_http_atls.h"


typedef struct {
    uint32_t                 owner;         /* whom it is for */
    uint64_t                 endpoint;      /* where the POST has come to */
    ngx_uint_t               secure;        /* over TLS */
    size_t                   limit_rate;    /* of the response */
    size_t                   limit_rate_after;

    socklen_t                socklen;       /* the client's address */
    socklen_t                local_socklen;
    socklen_t                listen_socklen;

    ngx_sockaddr_t           sockaddr;
    ngx_sockaddr_t           local_sockaddr;
    ngx_sockaddr_t           listen_sockaddr;
} ngx_http_atls_mail_t;


/*
 * Takes the descriptor over.  One that is full has no descriptor left for
 * anything but to say so.
 */

typedef void (*ngx_http_atls_mail_pt)(ngx_http_atls_mail_t *mail,
    ngx_socket_t fd, ngx_uint_t full, ngx_log_t *log);


/* In the master, for each configuration. */

ngx_int_t ngx_http_atls_mailbox_init_module(ngx_cycle_t *cycle);

/* In a worker: opens its own mailbox; and empties it at the worker's end. */

ngx_int_t ngx_http_atls_mailbox_init_worker(ngx_cycle_t *cycle,
    ngx_http_atls_mail_pt handler);
void ngx_http_atls_mailbox_exit_worker(ngx_log_t *log);

/*
 * Sends a message to the worker in a slot; the descriptor stays the caller's.
 * NGX_ERROR: it can't be sent, logged.
 */

ngx_int_t ngx_http_atls_mailbox_send(ngx_uint_t slot,
    ngx_http_atls_mail_t *mail, ngx_socket_t fd, ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_MAILBOX_H_INCLUDED_ */
