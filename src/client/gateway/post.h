
/*
 * POSTs to services, several at a time, by libcurl's multi interface.
 */


#ifndef ATLS_GATEWAY_POST_H_INCLUDED
#define ATLS_GATEWAY_POST_H_INCLUDED


#include <sys/queue.h>

#include <curl/curl.h>

#include "../cmd/options/options.h"
#include "../lib/buf.h"
#include "../lib/debug.h"
#include "../lib/reply.h"
#include "../lib/route.h"
#include "share.h"


typedef struct gw_post_s  gw_post_t;
typedef struct gw_poster_s  gw_poster_t;

/* Called when a POST has ended.  The post is not valid afterwards. */

typedef void (*gw_posted_pt)(void *data, gw_post_t *post);

struct gw_post_s {
    LIST_ENTRY(gw_post_s)        entry;
    gw_poster_t                 *poster;
    CURL                        *curl;
    atls_route_t                 route;

    gw_share_t                  *share;     /* in which it is counted */
    unsigned char               *body;      /* owned */
    size_t                       n;
    gw_posted_pt                 posted;
    void                        *data;

    /* what became of it */

    CURLcode                     code;
    atls_reply_t                 reply;
    size_t                       header;    /* bytes */
    atls_buf_t                   answer;    /* if it is one of ATLS */
    int                          large;     /* it is too large */
    int                          full;      /* there is no memory for it */
    char                         error[CURL_ERROR_SIZE];
};

struct gw_poster_s {
    CURLM                       *multi;
    struct curl_slist           *headers;
    atls_route_conf_t            route;
    atls_debug_t                 debug;
    int64_t                      timeout;   /* milliseconds */
    LIST_HEAD(, gw_post_s)       active;
    LIST_HEAD(, gw_post_s)       unused;    /* handles that may be used again */
    unsigned                     nunused;
};


/*
 * The options must stay valid.  The structure must be zeroed, and freed in any
 * case.  Returns an exit code.
 */

int gw_poster_init(gw_poster_t *poster, const cmd_options_t *options);

/* POSTs in progress are aborted, without a call. */

void gw_poster_free(gw_poster_t *poster);

/*
 * Starts a POST.  The body is owned by it from now on, and counted in the
 * limits, as is the response.  Returns -1, with the body freed, if it cannot be
 * started.
 */

int gw_post_start(gw_poster_t *poster, gw_share_t *share, const char *url,
    unsigned char *body, size_t n, gw_posted_pt posted, void *data);

/* Runs what can be run, and calls the functions of those that have ended. */

void gw_poster_run(gw_poster_t *poster);

/* A header field of the response, or NULL.  Valid until the next call. */

const char *gw_post_header(const gw_post_t *post, const char *name);


#endif /* ATLS_GATEWAY_POST_H_INCLUDED */
