
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Established sessions with DTLS.  They are not taken, once the worker that has
 * finished the handshake has put them back: any number of POSTs may use a
 * session at once, in any worker, each with a copy of it, see
 * ngx_http_atls_snapshot.h.  Numbers of records are assigned in the session,
 * with the lock held, so a number is never used twice; those of a worker that
 * dies are not used at all.  POSTs are counted, and a session with any is busy:
 * it is neither evicted nor idle.
 */


#ifndef _NGX_HTTP_ATLS_SHARED_H_INCLUDED_
#define _NGX_HTTP_ATLS_SHARED_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"


/*
 * Marks the number of an authentic record as used, and updates the time of the
 * last use.  "*user" is whether the POST is counted: it is from now on.
 * NGX_DECLINED: it was used before, or is too old; NGX_ABORT: the session has
 * ended.
 */

ngx_int_t ngx_http_atls_shared_mark(ngx_shm_zone_t *zone, u_char *id,
    uint64_t number, ngx_uint_t *user);

/*
 * Counts a record that is not authentic.  NGX_DECLINED: there were too many of
 * them.
 */

ngx_int_t ngx_http_atls_shared_forged(ngx_shm_zone_t *zone, u_char *id);

/*
 * Reserves n numbers for records to be sealed, and sets *first.  The last
 * number of a key can only be reserved for the final alert ("last").
 * NGX_DECLINED: there are no more numbers; NGX_ABORT: the session has ended.
 */

ngx_int_t ngx_http_atls_shared_reserve(ngx_shm_zone_t *zone, u_char *id,
    ngx_uint_t n, ngx_uint_t last, uint64_t *first);

/*
 * The same for n records of the last flight of the handshake that are not
 * protected.  Returns the first number.
 */

uint32_t ngx_http_atls_shared_flight(ngx_shm_zone_t *zone, u_char *id,
    uint32_t n);

/*
 * The POST has ended: updates the session from its copy, which had the number
 * of requests.
 */

void ngx_http_atls_shared_end(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *copy, uint32_t requests, uint64_t in,
    uint64_t out, ngx_uint_t user);

/*
 * A worker has exited with POSTs in progress, so their number is not known:
 * none of them is counted any more.  The caller holds the lock.
 */

void ngx_http_atls_shared_reset(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session);

/* Removes the session, if it still exists. */

void ngx_http_atls_shared_remove(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_ending_e reason, ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_SHARED_H_INCLUDED_ */
