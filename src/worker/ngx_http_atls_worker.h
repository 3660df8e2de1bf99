
/*
 * Which process something belongs to: each worker process gets a number that
 * no other one has had, neither before it in its slot nor with its pid.
 *
 * The numbers and the slots are in a shared memory zone of their own, so they
 * survive reloads.
 */


#ifndef _NGX_HTTP_ATLS_WORKER_H_INCLUDED_
#define _NGX_HTTP_ATLS_WORKER_H_INCLUDED_


#include "ngx_http_atls.h"


typedef struct {
    uint32_t                 id;            /* 0: none */
    uint32_t                 slot;
} ngx_http_atls_owner_t;


/* Adds the zone; called once for each configuration.  NULL on errors. */

ngx_shm_zone_t *ngx_http_atls_worker_zone(ngx_conf_t *cf);

/* In the master, for each configuration; and when there is none any more. */

void ngx_http_atls_worker_init_module(ngx_shm_zone_t *zone);
void ngx_http_atls_worker_exit_module(void);

/* In a worker: takes a number and the slot; see ngx_http_atls_mailbox.h. */

void ngx_http_atls_worker_init_worker(ngx_cycle_t *cycle, uint32_t mailbox);

/* The serial number of the mailbox that a process reads. */

uint32_t ngx_http_atls_worker_mailbox(ngx_http_atls_owner_t *owner);

/* Whether a process is still there.  Makes a system call. */

ngx_uint_t ngx_http_atls_worker_alive(ngx_http_atls_owner_t *owner);

/* The same without one: false if the process is replaced, or buried. */

ngx_uint_t ngx_http_atls_worker_known(ngx_http_atls_owner_t *owner);

/*
 * Once a second: says that this process goes on, and looks after the others.
 * Returns the number of those found dead by this call: the caller has to remove
 * what they have left, as no other one is told.
 */

ngx_uint_t ngx_http_atls_worker_tick(void);

/* For how long a process has not said so, in the time that this one has run. */

ngx_msec_t ngx_http_atls_worker_silence(ngx_http_atls_owner_t *owner);

ngx_pid_t ngx_http_atls_worker_pid(ngx_http_atls_owner_t *owner);


#endif /* _NGX_HTTP_ATLS_WORKER_H_INCLUDED_ */
