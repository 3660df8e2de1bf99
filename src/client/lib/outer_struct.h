
/*
 * The structure of an outer connection, for use within outer.c and outer_*.c.
 * Each group of members is set by the files named before it.
 */


#ifndef ATLS_CLIENT_OUTER_STRUCT_H_INCLUDED
#define ATLS_CLIENT_OUTER_STRUCT_H_INCLUDED


#include <curl/curl.h>

#include "debug.h"
#include "error.h"
#include "expiry.h"
#include "location.h"
#include "outer.h"
#include "reply.h"
#include "repost.h"
#include "route.h"
#include "seen.h"
#include "sockets.h"
#include "transport.h"


struct atls_outer_s {

    /* from the configuration: outer.c, outer_setup.c */

    CURL                *curl;
    CURLU               *url;               /* of the endpoint */
    struct curl_slist   *headers;
    struct curl_slist   *message_headers;
    atls_route_t         route;
    atls_failure_t      *failure;
    atls_debug_t         debug;             /* hidden: outer_session.c */
    atls_seen_t          seen;
    int                  proxied;           /* a proxy is used */
    int                  secure;            /* the URL is https */
    int                  simple;            /* libcurl is not always needed */
    int64_t              idle_timeout;

    /* by the caller: outer.c */

    int64_t              deadline;          /* 0: none */
    int                (*wait)(void *data);
    void                *wait_data;
    int                (*full)(void *data); /* or NULL */

    /* the session: outer_session.c, and what POSTs change */

    atls_location_t      location;
    atls_expiry_t        expiry;
    char                *session;           /* its identifier */
    atls_reply_post_t    post;

    /* instead of libcurl: outer_carry.c; cleared by others */

    atls_repost_t        repost;
    atls_carrier_t       carrier;
    const atls_response_t  *response;       /* of these two */

    /* the connection of the last POST: outer_connection.c, outer_carry.c */

    int                  kept;              /* it is kept alive */

    /* the current transfer; times by atls_clock_us(): outer_connection.c */

    unsigned             connections;
    int64_t              resolved;
    int64_t              connected;

    /* all POSTs, and the last one: outer.c */

    unsigned             posts;
    atls_sockets_t       sockets;           /* of open POSTs */
    int                  reposted;          /* not sent by libcurl */
    int                  again;             /* it is repeated */

    /* its result: outer.c, outer_io.c, outer_result.c */

    atls_reply_t         reply;
    CURLcode             code;
    struct {
        CURLcode         code;
        int              status;
        long             retry_after;
    } marked;                               /* an earlier result */

    /* the current POST: outer.c, callbacks in outer_io.c */

    atls_source_pt       source;            /* NULL: the body is in memory */
    atls_sink_pt         sink;
    void                *sink_data;         /* of both, and of full() */
    int64_t              began;
    atls_error_e         sink_error;        /* or of Location */
    int                  headed;            /* the response header is
                                               complete */
    int                  waits;             /* sent, and no response so far */
    int                  lost;              /* libcurl would send it again */
    char                 error[CURL_ERROR_SIZE];
};


#endif /* ATLS_CLIENT_OUTER_STRUCT_H_INCLUDED */
