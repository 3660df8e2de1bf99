
/*
 * The session of an outer connection: the cookies and the URI that are sent
 * with its POSTs.  Other functions are in outer.h.
 */


#ifndef ATLS_CLIENT_OUTER_SESSION_H_INCLUDED
#define ATLS_CLIENT_OUTER_SESSION_H_INCLUDED


#include <curl/curl.h>

#include "outer.h"


/* The URL of the next POST; not to be freed. */

CURLU *atls_outer_url_now(atls_outer_t *outer);

/*
 * Called for a 201 response: later POSTs of the session are sent to its URI, if
 * it has one.
 */

void atls_outer_follow(atls_outer_t *outer);


#endif /* ATLS_CLIENT_OUTER_SESSION_H_INCLUDED */
