
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_clock.h"


/*
 * The cached time cannot be used: it differs among processes, so a value
 * stored by another process might be in the future.
 */

int64_t
ngx_http_atls_clock(void)
{
#if (NGX_HAVE_CLOCK_MONOTONIC)

    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;

#else

    struct timeval  tv;

    ngx_gettimeofday(&tv);

    return (int64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;

#endif
}


time_t
ngx_http_atls_clock_since(int64_t then)
{
    return (time_t) ((ngx_http_atls_clock() - then) / 1000);
}
