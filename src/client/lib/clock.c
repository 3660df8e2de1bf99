
/*
 * Monotonic time, see clock.h.
 */


#include <errno.h>
#include <time.h>

#include "clock.h"


int64_t
atls_clock(void)
{
    return atls_clock_us() / 1000;
}


int64_t
atls_clock_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


void
atls_clock_cond(pthread_cond_t *cond)
{
    pthread_condattr_t  attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}


int
atls_clock_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline)
{
    struct timespec  ts;

    if (deadline == 0) {
        pthread_cond_wait(cond, lock);
        return 1;
    }

    ts.tv_sec = (time_t) (deadline / 1000);
    ts.tv_nsec = (long) (deadline % 1000) * 1000000;

    return pthread_cond_timedwait(cond, lock, &ts) != ETIMEDOUT;
}
