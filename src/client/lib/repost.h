
/*
 * POSTs without libcurl, which needs several times as long for a small POST as
 * everything else.  libcurl opens the connection, and sends the first POSTs of
 * a session.  The header of one of them is recorded; those of the next POSTs on
 * this connection are the same, except for Content-Length.
 *
 * This is done for HTTP/1.1 without TLS and without an HTTP proxy, if the
 * response to the recorded POST has a valid header, and sets no cookie.
 */


#ifndef ATLS_CLIENT_REPOST_H_INCLUDED
#define ATLS_CLIENT_REPOST_H_INCLUDED


#include <curl/curl.h>

#include "response.h"


typedef struct {
    atls_buf_t           post;              /* the header, up to "size", and the
                                               rest of a POST */
    size_t               size;              /* 0: nothing was recorded */
    int64_t              used;              /* when the connection was used */
    unsigned             tried:1;           /* to record, in this session */
    unsigned             recording:1;
    unsigned             failed:1;
    unsigned             sent:1;            /* some of the last POST */

    atls_response_t      response;
    atls_request_t       recorder;
    atls_debug_t         debug;             /* disabled */
    atls_failure_t       failure;           /* not used further */
} atls_repost_t;


typedef struct {
    const void          *bytes;             /* the body */
    size_t               n;
    int64_t              deadline;          /* by atls_clock(); 0: none */
    int64_t              idle_timeout;      /* milliseconds; 0: none */
    atls_request_t       request;           /* only its callbacks are used */
} atls_repost_post_t;


/* The structure must be zeroed before its first use. */

void atls_repost_free(atls_repost_t *repost);

/* Called when the session or its cookies change. */

void atls_repost_clear(atls_repost_t *repost);

/* Called before and after a POST by libcurl; it may be recorded. */

void atls_repost_record(atls_repost_t *repost, CURL *curl);
void atls_repost_recorded(atls_repost_t *repost, CURL *curl);

/*
 * Sends a POST and receives the response.  CURLE_GOT_NOTHING means that it has
 * to be sent by libcurl: nothing was recorded, the POST is large, the
 * connection was idle for so long that libcurl opens a new one, or it is
 * closed.  In the last case, it may have been sent; libcurl would send it
 * again, too.
 */

CURLcode atls_repost_send(atls_repost_t *repost, CURL *curl,
    const atls_repost_post_t *post);

/* Whether the connection is kept alive after that. */

int atls_repost_kept(const atls_repost_t *repost);


#endif /* ATLS_CLIENT_REPOST_H_INCLUDED */
