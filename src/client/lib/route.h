
/*
 * The route of a connection of libcurl: addresses, proxy, speed, timeouts.  It
 * is the same for POSTs and for plain HTTPS.
 */


#ifndef ATLS_CLIENT_ROUTE_H_INCLUDED
#define ATLS_CLIENT_ROUTE_H_INCLUDED


#include <curl/curl.h>

#include "error.h"


typedef struct {
    const char          *proxy;             /* strings and lists are as in
                                               atls.h; NULL is the default */
    const char          *proxy_user;
    const char          *proxy_auth;
    const char          *proxy_ca_file;
    const char          *no_proxy;
    const char *const   *proxy_headers;     /* lists are terminated by NULL */
    const char *const   *resolve;
    const char *const   *connect_to;
    int                  ip_version;        /* 4 or 6; 0: both */
    int64_t              rate;              /* bytes per second; 0: unlimited */
    int64_t              connect_timeout;   /* milliseconds; 0: none */
} atls_route_conf_t;


/* The lists of a handle. */

typedef struct {
    struct curl_slist   *proxy_headers;
    struct curl_slist   *resolve;
    struct curl_slist   *connect_to;
} atls_route_t;


/*
 * Sets the options of a handle.  The route must be zeroed; it must be freed
 * after the handle, and on error.  Returns 0, or -1 with an error in failure.
 */

int atls_route_set(atls_route_t *route, CURL *curl,
    const atls_route_conf_t *conf, atls_failure_t *failure);

void atls_route_free(atls_route_t *route);

/* Fills members of the last connection of a handle. */

void atls_route_info(CURL *curl, atls_transfer_info_t *info);

/* Appends a list of strings, which may be NULL.  Returns 0, or -1. */

int atls_route_append(struct curl_slist **list, const char *const *items);


#endif /* ATLS_CLIENT_ROUTE_H_INCLUDED */
