
/*
 * Which process something belongs to: each worker process gets a number that
 * no other one has had, neither before it in its slot nor with its pid.
 *
 * The numbers and the slots are in memory that the master makes once for its
 * whole life, so they survive reloads.
 */


#ifndef _NGX_HTTP_ATLS_WORKER_H_INCLUDED_
#define _NGX_HTTP_ATLS_WORKER_H_INCLUDED_


#include "ngx_http_atls.h"


typedef struct {
    uint32_t                 id;            /* 0: none */
    uint32_t                 slot;
} ngx_http_atls_owner_t;


/* In the master, for each configuration. */

ngx_int_t ngx_http_atls_worker_init_module(ngx_cycle_t *cycle);

/* In a worker: takes a number and the slot. */

void ngx_http_atls_worker_init_worker(ngx_cycle_t *cycle);

/* Whether a process is still there.  Makes a system call. */

ngx_uint_t ngx_http_atls_worker_alive(ngx_http_atls_owner_t *owner);

/* The same without one: as of the last time that anybody looked. */

ngx_uint_t ngx_http_atls_worker_known(ngx_http_atls_owner_t *owner);

/* Looks after all of them.  The number of those found dead by this call. */

ngx_uint_t ngx_http_atls_worker_bury(void);


/* this process */

extern ngx_http_atls_owner_t  ngx_http_atls_worker;


#endif /* _NGX_HTTP_ATLS_WORKER_H_INCLUDED_ */
