
/*
 * Ownership by worker processes: each worker process has a unique number, which
 * is not reused with its slot or pid.  Numbers and slots are in a separate
 * shared memory zone, so they are preserved on reload.
 */


#ifndef _NGX_HTTP_ATLS_WORKER_H_INCLUDED_
#define _NGX_HTTP_ATLS_WORKER_H_INCLUDED_


#include "ngx_http_atls.h"


typedef struct {
    uint32_t                 id;            /* 0: none */
    uint32_t                 slot;
} ngx_http_atls_owner_t;


/*
 * Adds the zone; called once for each configuration.  NULL on errors.  The
 * second function does the same for another zone with data of processes.
 */

ngx_shm_zone_t *ngx_http_atls_worker_zone(ngx_conf_t *cf);
ngx_shm_zone_t *ngx_http_atls_worker_add_zone(ngx_conf_t *cf, ngx_str_t *name,
    size_t size, ngx_shm_zone_init_pt init);

/* Called in the master, for each configuration; and on its exit. */

void ngx_http_atls_worker_init_module(ngx_shm_zone_t *zone);
void ngx_http_atls_worker_exit_module(void);

/* In a worker: takes a number and the slot; see ngx_http_atls_mailbox.h. */

void ngx_http_atls_worker_init_worker(ngx_cycle_t *cycle, uint32_t mailbox);

/* The serial number of the mailbox that a process reads. */

uint32_t ngx_http_atls_worker_mailbox(ngx_http_atls_owner_t *owner);

/* Whether a process exists.  Makes a system call. */

ngx_uint_t ngx_http_atls_worker_alive(ngx_http_atls_owner_t *owner);

/*
 * The same without a system call: false if the process was replaced or found
 * dead.
 */

ngx_uint_t ngx_http_atls_worker_known(ngx_http_atls_owner_t *owner);

/*
 * Tells the others that this process is about to exit; and, if so, that it does
 * not put out any more sessions that others leave in the table.
 */

void ngx_http_atls_worker_leave(void);
void ngx_http_atls_worker_left(void);

/*
 * Whether this process is the last one: NGX_OK: all others are about to exit,
 * too; NGX_AGAIN: some are not; NGX_DECLINED: there is a newer configuration,
 * whose processes are not.
 */

ngx_int_t ngx_http_atls_worker_last(void);

/*
 * Whether there are processes of newer configurations that look after the
 * sessions in the table, also if they are about to exit.
 */

ngx_uint_t ngx_http_atls_worker_newer(void);

/* Counts uses of shared sessions by this process: ngx_http_atls_shared.h. */

void ngx_http_atls_worker_use(ngx_int_t n);

/*
 * Called once a second: updates the heartbeat of this process and checks the
 * others.  Returns the number of those found dead by this call: the caller must
 * remove their sessions, as they are not reported to other processes.  "*uses"
 * is the number of uses of shared sessions that did not end.
 */

ngx_uint_t ngx_http_atls_worker_tick(ngx_uint_t *uses);

/*
 * The time since the last heartbeat of a process, while this process was
 * running.
 */

ngx_msec_t ngx_http_atls_worker_silence(ngx_http_atls_owner_t *owner);

ngx_pid_t ngx_http_atls_worker_pid(ngx_http_atls_owner_t *owner);


#endif /* _NGX_HTTP_ATLS_WORKER_H_INCLUDED_ */
