
/* The cookies of a session: whether they are sent with the next POST. */


#ifndef ATLS_CLIENT_COOKIES_H_INCLUDED
#define ATLS_CLIENT_COOKIES_H_INCLUDED


#include <curl/curl.h>


typedef enum {
    ATLS_COOKIES_UNKNOWN = 0,               /* no response yet */
    ATLS_COOKIES_NONE,                      /* none was set */
    ATLS_COOKIES_ELSEWHERE,                 /* none applies to the URL */
    ATLS_COOKIES_SENT
} atls_cookies_e;


/* Called after a response, with the URL of the POSTs. */

atls_cookies_e atls_cookies_look(CURL *curl, const CURLU *url);

/*
 * The identifier of the session: the value of the cookie with the default name,
 * or else of the only one that looks like an identifier.  NULL: there is none,
 * or no memory; otherwise, to be freed.
 */

char *atls_cookies_session(CURL *curl);

/* Replaces the cookies of a handle by those of another.  Returns 0 or -1. */

int atls_cookies_copy(CURL *curl, CURL *other);

/*
 * Sets a cookie by the value of a Set-Cookie header of a response that libcurl
 * has not seen, to a POST to this URL.  Returns 0 or -1.
 */

int atls_cookies_set(CURL *curl, const CURLU *url, const char *value);


#endif /* ATLS_CLIENT_COOKIES_H_INCLUDED */
