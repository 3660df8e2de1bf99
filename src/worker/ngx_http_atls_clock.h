
/*
 * Time that goes on at its own pace, whatever is done to the time of day: for
 * all that lasts no longer than the machine is up.
 */


#ifndef _NGX_HTTP_ATLS_CLOCK_H_INCLUDED_
#define _NGX_HTTP_ATLS_CLOCK_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Milliseconds since some time in the past, the same for all processes.  They
 * don't wrap, as ngx_current_msec does after 49 days where it has 32 bits.
 */

int64_t ngx_http_atls_clock(void);

/* The whole seconds since then. */

time_t ngx_http_atls_clock_since(int64_t then);


#endif /* _NGX_HTTP_ATLS_CLOCK_H_INCLUDED_ */
