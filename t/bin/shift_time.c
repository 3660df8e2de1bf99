
/*
 * Another time of day for a program: SHIFT_TIME seconds from now, by
 * LD_PRELOAD.
 */


#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


static long
shift(void)
{
    const char  *value;

    value = getenv("SHIFT_TIME");

    return value ? atol(value) : 0;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;

    if (syscall(SYS_clock_gettime, CLOCK_REALTIME, &ts) == -1) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec + shift();
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}


time_t
time(time_t *t)
{
    struct timeval  tv;

    (void) gettimeofday(&tv, NULL);

    if (t) {
        *t = tv.tv_sec;
    }

    return tv.tv_sec;
}
