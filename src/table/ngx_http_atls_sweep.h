
/*
 * What each worker process does once a second: removes sessions that have
 * expired, or whose worker process has ended, reports sessions that have been
 * evicted, and frees contexts of ciphers, with the keys in them.
 */


#ifndef _NGX_HTTP_ATLS_SWEEP_H_INCLUDED_
#define _NGX_HTTP_ATLS_SWEEP_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Removes what worker processes have left that have ended: half-open and busy
 * sessions.  It is not known which sequence numbers of a busy one were used.
 * Then starts the timer.
 */

void ngx_http_atls_sweep_init_worker(ngx_shm_zone_t *zone, ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_SWEEP_H_INCLUDED_ */
