
/*
 * Requests with exported keys do not take their session: any number of them may
 * be in progress at once, in any worker, also while a POST with records has the
 * session.  They use a copy, and mark their numbers in the session.  So do
 * POSTs with DTLS records, see ngx_http_atls_shared.h.
 */


#ifndef _NGX_HTTP_ATLS_SNAPSHOT_H_INCLUDED_
#define _NGX_HTTP_ATLS_SNAPSHOT_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"


/*
 * Copies an established session to the pool, without its traffic keys, except
 * for DTLS, and anything that is in progress; the copy is wiped when the pool
 * is destroyed.
 * *alcf: the location, set to the endpoint of the session if it may be used in
 * the location.
 *
 * ngx_http_atls_take_ok: *session is the copy, or NULL: no memory;
 * ngx_http_atls_take_handshake: the handshake is not finished.
 */

ngx_http_atls_take_e ngx_http_atls_snapshot(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_loc_conf_t **alcf, ngx_pool_t *pool,
    ngx_http_atls_session_t **session);

/*
 * Marks a number as used, counts a request, and updates the copy.  *age: see
 * ngx_http_atls_lifetime_cookie(); NULL: there is no cookie.  NGX_DECLINED: the
 * number was used before, or is too old; NGX_ABORT: the session has ended.
 */

ngx_int_t ngx_http_atls_snapshot_mark(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *copy, ngx_http_atls_loc_conf_t *alcf,
    uint64_t number, time_t *age);

/* The request has ended: counts the bytes of the POST in the session. */

void ngx_http_atls_snapshot_end(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *copy, uint64_t in, uint64_t out);


#endif /* _NGX_HTTP_ATLS_SNAPSHOT_H_INCLUDED_ */
