
/*
 * Global data of a worker process.  Data inherited from the master (mailboxes,
 * slots and locks of worker processes), and data set with the configuration and
 * the same in all processes (next filters, the upstream of relays, OpenSSL
 * indexes) are elsewhere.  The cipher contexts are in src/core, which is
 * independent of nginx.
 */


#ifndef _NGX_HTTP_ATLS_PROCESS_H_INCLUDED_
#define _NGX_HTTP_ATLS_PROCESS_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_worker.h"


/* The process in a slot, as seen by this process. */

typedef struct {
    uint32_t                      id;
    ngx_atomic_uint_t             beats;
    ngx_msec_t                    silence;
} ngx_http_atls_heard_t;


typedef struct {

    /* ngx_http_atls_worker: this worker, and others */

    ngx_http_atls_owner_t         owner;
    ngx_http_atls_heard_t         heard[NGX_MAX_PROCESSES];
    ngx_msec_t                    ticked;

    /*
     * ngx_http_atls_mailbox.  A message is lost, and cannot be answered, if
     * the worker is out of descriptors: one descriptor is reserved.
     */

    ngx_http_atls_mail_pt         mail_handler;
    ngx_socket_t                  mail_reserved;

    /* ngx_http_atls_socket: a socket pair without any data */

    ngx_socket_t                  sockets[2];

    /* ngx_http_atls_sweep */

    ngx_event_t                   sweeper;
    ngx_connection_t              sweeper_connection;     /* for its log */

    /* ngx_http_atls_counters: those of this process, in shared memory */

    ngx_http_atls_counters_t     *counters;

    /* ngx_http_atls_ending: sessions to be logged */

    ngx_http_atls_endings_t      *endings;

    /* ngx_http_atls_redis, ngx_http_atls_drain, ngx_http_atls_node */

    ngx_http_atls_redis_t        *redis;
    ngx_http_atls_drain_t        *drain;
    ngx_event_t                   node_timer;
    ngx_connection_t              node_connection;        /* for its log */
    ngx_uint_t                    node_others;            /* with its number */
    ngx_msec_t                    node_started;

    /* ngx_http_atls_link_pool: connections to other machines */

    ngx_http_atls_link_pool_t    *link_pool;

    /* ngx_http_atls_ticket: a copy of the zone's keys, in a separate page */

    ngx_http_atls_ticket_keys_t  *ticket_keys;

    /*
     * ngx_http_atls_handshake: handshakes in progress.  At
     * worker_shutdown_timeout, core closes connections: a single one
     * represents all handshakes.
     */

    ngx_queue_t                   handshakes;
    ngx_uint_t                    nhandshakes;
    ngx_uint_t                    nserving;               /* with early data */
    ngx_connection_t             *handshakes_connection;

    /* ngx_http_atls_inner_park: parked connections, the oldest last */

    ngx_queue_t                   parked;
    ngx_uint_t                    nparked;
    time_t                        parked_logged;

    /* ngx_http_atls_poll: polls that wait, with a connection for all of them */

    ngx_uint_t                    npolls;
    ngx_connection_t             *polls_connection;

    /*
     * ngx_http_atls_relayed.  When a worker exits gracefully, it closes its
     * listening sockets and sets their number to 0.  POSTs in progress still
     * refer to them, so their number is stored here.
     */

    ngx_uint_t                    nlistening;

} ngx_http_atls_process_t;


/* Called first when a worker starts. */

void ngx_http_atls_process_init(ngx_cycle_t *cycle);


extern ngx_http_atls_process_t  ngx_http_atls_process;


#endif /* _NGX_HTTP_ATLS_PROCESS_H_INCLUDED_ */
