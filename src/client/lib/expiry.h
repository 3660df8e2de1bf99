
/*
 * When the cookies of a session expire.  The name of its cookie is unknown to
 * the client, and others may be needed by a load balancer: the session is
 * useless without any of them.
 */


#ifndef ATLS_CLIENT_EXPIRY_H_INCLUDED
#define ATLS_CLIENT_EXPIRY_H_INCLUDED


#include <stdint.h>
#include <time.h>

#include <curl/curl.h>


typedef struct {
    int64_t   expires;      /* the first of them, by atls_clock(), with a
                               margin; 0: never */
    time_t    date;         /* the same by the system time, as for libcurl */
} atls_expiry_t;


void atls_expiry_clear(atls_expiry_t *expiry);

/* Called when the header of a response has set a cookie: reads libcurl's. */

void atls_expiry_look(atls_expiry_t *expiry, CURL *curl);

int atls_expiry_passed(const atls_expiry_t *expiry);


#endif /* ATLS_CLIENT_EXPIRY_H_INCLUDED */
