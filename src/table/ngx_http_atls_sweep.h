
/*
 * Housekeeping of a worker process, once a second: removes sessions that have
 * expired or whose owner has exited, logs evicted sessions, and frees unused
 * cipher contexts with their keys.
 */


#ifndef _NGX_HTTP_ATLS_SWEEP_H_INCLUDED_
#define _NGX_HTTP_ATLS_SWEEP_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Removes half-open and busy sessions of worker processes that have exited, as
 * it is not known which sequence numbers of a busy session were used.  Then
 * starts the timer.
 */

void ngx_http_atls_sweep_init_worker(ngx_shm_zone_t *zone, ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_SWEEP_H_INCLUDED_ */
