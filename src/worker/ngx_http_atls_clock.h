
/*
 * Monotonic time, for everything that does not outlive the uptime of the
 * machine.
 */


#ifndef _NGX_HTTP_ATLS_CLOCK_H_INCLUDED_
#define _NGX_HTTP_ATLS_CLOCK_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Milliseconds since an unspecified time, the same in all processes.  Unlike a
 * 32-bit ngx_current_msec, they do not wrap after 49 days.
 */

int64_t ngx_http_atls_clock(void);

/* Whole seconds since then. */

time_t ngx_http_atls_clock_since(int64_t then);


#endif /* _NGX_HTTP_ATLS_CLOCK_H_INCLUDED_ */
