
/* Monotonic time, and conditions with it. */


#ifndef ATLS_CLIENT_CLOCK_H_INCLUDED
#define ATLS_CLIENT_CLOCK_H_INCLUDED


#include <pthread.h>
#include <stdint.h>


/* Milliseconds or microseconds since an unspecified time. */

int64_t atls_clock(void);
int64_t atls_clock_us(void);

/*
 * Initializes a condition, and waits for it.  Returns 0 if there is a deadline,
 * by atls_clock(), and it has expired; 0: there is none.
 */

void atls_clock_cond(pthread_cond_t *cond);
int atls_clock_wait(pthread_cond_t *cond, pthread_mutex_t *lock,
    int64_t deadline);


#endif /* ATLS_CLIENT_CLOCK_H_INCLUDED */
