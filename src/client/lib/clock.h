
/* Monotonic time. */


#ifndef ATLS_CLIENT_CLOCK_H_INCLUDED
#define ATLS_CLIENT_CLOCK_H_INCLUDED


#include <stdint.h>


/* Milliseconds since an unspecified time. */

int64_t atls_clock(void);


#endif /* ATLS_CLIENT_CLOCK_H_INCLUDED */
