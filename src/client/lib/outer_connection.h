
/*
 * The connection of the last POST: whether it is new and kept alive, and times
 * of its phases.  Other functions are in outer.h.
 */


#ifndef ATLS_CLIENT_OUTER_CONNECTION_H_INCLUDED
#define ATLS_CLIENT_OUTER_CONNECTION_H_INCLUDED


#include <stdint.h>

#include "outer.h"


/*
 * Called after a POST by libcurl, which began at this time, by atls_clock_us():
 * reads what libcurl knows of it.
 */

void atls_outer_look(atls_outer_t *outer, int64_t began);


#endif /* ATLS_CLIENT_OUTER_CONNECTION_H_INCLUDED */
