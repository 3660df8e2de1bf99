
/*
 * Time that does not jump.
 */


#ifndef ATLS_CLIENT_CLOCK_H_INCLUDED
#define ATLS_CLIENT_CLOCK_H_INCLUDED


#include <stdint.h>


/* Milliseconds since some moment. */

int64_t atls_clock(void);


#endif /* ATLS_CLIENT_CLOCK_H_INCLUDED */
