
/*
 * The URI of a session, if the first response has given one: the URL of later
 * POSTs.
 */


#ifndef ATLS_CLIENT_LOCATION_H_INCLUDED
#define ATLS_CLIENT_LOCATION_H_INCLUDED


#include <curl/curl.h>

#include "error.h"


typedef struct {
    CURLU   *url;                           /* NULL: that of the endpoint */
    char    *id;                            /* the last segment of its path */
} atls_location_t;


/* The structure must be zeroed, as it is by atls_location_clear(). */

void atls_location_clear(atls_location_t *location);

/*
 * Follows the Location header of a 201 response: a path, or a URL of the same
 * origin as "base", the URL of the POST.  NULL: there was none.  On error, the
 * structure is not changed.
 */

atls_error_e atls_location_follow(atls_location_t *location, CURLU *base,
    const char *value, atls_failure_t *failure);

/* Returns 0, or -1 without memory. */

int atls_location_copy(atls_location_t *location, const atls_location_t *other);


#endif /* ATLS_CLIENT_LOCATION_H_INCLUDED */
