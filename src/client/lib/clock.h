
/* Monotonic time. */


#ifndef ATLS_CLIENT_CLOCK_H_INCLUDED
#define ATLS_CLIENT_CLOCK_H_INCLUDED


#include <stdint.h>


/* Milliseconds or microseconds since an unspecified time. */

int64_t atls_clock(void);
int64_t atls_clock_us(void);


#endif /* ATLS_CLIENT_CLOCK_H_INCLUDED */
