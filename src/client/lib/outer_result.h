
/*
 * The result of a POST: an error, or a response of an ATLS endpoint.  Other
 * functions are in outer.h.
 */


#ifndef ATLS_CLIENT_OUTER_RESULT_H_INCLUDED
#define ATLS_CLIENT_OUTER_RESULT_H_INCLUDED


#include <curl/curl.h>

#include "outer.h"


/* Returns the error of a POST that has ended with this code, or ATLS_OK. */

atls_error_e atls_outer_result(atls_outer_t *outer, CURLcode code);


#endif /* ATLS_CLIENT_OUTER_RESULT_H_INCLUDED */
