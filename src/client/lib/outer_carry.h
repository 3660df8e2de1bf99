
/*
 * POSTs without libcurl: on its connection, see repost.h, or over another
 * transport, see transport.h.  libcurl is given the cookies of the response.
 */


#ifndef ATLS_CLIENT_OUTER_CARRY_H_INCLUDED
#define ATLS_CLIENT_OUTER_CARRY_H_INCLUDED


#include <curl/curl.h>

#include "outer.h"


/* Sends a POST over another transport. */

CURLcode atls_outer_carry(atls_outer_t *outer, const void *bytes, size_t n);

/*
 * Sends a POST without libcurl, if possible.  CURLE_GOT_NOTHING means that it
 * has to be sent by libcurl.
 */

CURLcode atls_outer_repost(atls_outer_t *outer, const void *bytes, size_t n);


#endif /* ATLS_CLIENT_OUTER_CARRY_H_INCLUDED */
