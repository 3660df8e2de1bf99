
/*
 * A transport of POSTs that is not HTTP by libcurl.  It makes an HTTP/1.1
 * response of what it receives, so that all others see HTTP.
 */


#ifndef ATLS_CLIENT_TRANSPORT_H_INCLUDED
#define ATLS_CLIENT_TRANSPORT_H_INCLUDED


#include <curl/curl.h>

#include "debug.h"
#include "error.h"
#include "response.h"
#include "route.h"


typedef struct {
    const char          *path;              /* of the session, or of the
                                               endpoint; escaped, as in a URL */
    int                  first;             /* the first POST of a session */
    const void          *bytes;             /* the body */
    size_t               n;
    int64_t              deadline;          /* by atls_clock(); 0: none */
    int64_t              idle_timeout;      /* milliseconds; 0: none */
    const atls_debug_t  *debug;

    /*
     * Receives a piece of the response, and is called about once a second.  If
     * they do not return 0, the POST is aborted.
     */

    int                (*read)(void *data, const void *bytes, size_t n);
    int                (*wait)(void *data);
    void                *data;

    int                  sent;              /* set if anything may have been
                                               sent */
} atls_transport_post_t;


typedef struct {

    /* Nothing is sent yet.  Returns NULL, with an error in failure. */

    void              *(*create)(const void *conf, const char *url,
                                 const atls_route_conf_t *route,
                                 atls_failure_t *failure);
    void               (*free)(void *handle);

    /*
     * Sends a POST, and receives the response, which ends when the function
     * returns CURLE_OK.  The text of an error has CURL_ERROR_SIZE bytes.
     */

    CURLcode           (*post)(void *handle, atls_transport_post_t *post,
                               char *error);

    const void          *conf;              /* must stay valid */
} atls_transport_t;


/* A transport that is used. */

typedef struct {
    atls_transport_t     transport;
    void                *handle;            /* NULL: none */
    atls_response_t      response;
    atls_debug_t         debug;             /* of the response: disabled */
    atls_failure_t       failure;           /* not used further */
    int                  sent;              /* some of the last POST */
} atls_carrier_t;


/* The structure must be zeroed.  Returns 0, or -1 with an error in failure. */

int atls_carrier_open(atls_carrier_t *carrier,
    const atls_transport_t *transport, const char *url,
    const atls_route_conf_t *route, atls_failure_t *failure);

void atls_carrier_close(atls_carrier_t *carrier);

/*
 * Sends a POST, whose functions are set here: the response is passed to those
 * of the request, whose on_wait must be set.
 */

CURLcode atls_carrier_post(atls_carrier_t *carrier, atls_transport_post_t *post,
    const atls_request_t *request, char *error);


#endif /* ATLS_CLIENT_TRANSPORT_H_INCLUDED */
