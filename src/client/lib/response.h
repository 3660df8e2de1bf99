
/*
 * The response to one inner request.
 */


#ifndef ATLS_CLIENT_RESPONSE_H_INCLUDED
#define ATLS_CLIENT_RESPONSE_H_INCLUDED


#include "debug.h"
#include "error.h"
#include "http.h"


typedef enum {
    ATLS_RESPONSE_HEADER = 0,
    ATLS_RESPONSE_COUNTED,                  /* body with a Content-Length */
    ATLS_RESPONSE_EOF,                      /* body until the session ends */
    ATLS_RESPONSE_CHUNKED,
    ATLS_RESPONSE_UPGRADED,                 /* 101: no end */
    ATLS_RESPONSE_COMPLETE
} atls_response_e;


typedef struct {
    const atls_request_t    *request;       /* for callbacks */
    atls_failure_t          *failure;
    const atls_debug_t      *debug;

    unsigned                 head:1;        /* response to HEAD, without a
                                               body */
    unsigned                 too_early:1;   /* do not pass a 425 to callbacks */
    const char              *upgrade;       /* a 101 to this protocol is
                                               allowed */

    atls_response_e          state;
    atls_lines_t             lines;         /* of the header, parsed when it is
                                               complete */
    atls_chunks_t            chunks;
    uint64_t                 rest;          /* bytes left of a body with
                                               Content-Length */

    int                      status;        /* 0: not received yet */
    unsigned                 minor:1;       /* HTTP/1.1 */
    unsigned                 close:1;       /* has Connection: close */
    unsigned                 keepalive:1;   /* has Connection: keep-alive */
    unsigned                 switches:1;    /* has Connection: upgrade, */
    unsigned                 requested:1;   /* to the requested protocol, */
    unsigned                 other:1;       /* or to another one */
    unsigned                 chunked:1;
    unsigned                 counted:1;
    unsigned                 delivered:1;   /* a callback was called */
    unsigned                 hidden:1;      /* because of too_early */
    unsigned                 extra:1;       /* data follow the response */
} atls_response_t;


/* Prepares for a response.  The structure is zeroed or was used before. */

void atls_response_begin(atls_response_t *response,
    const atls_request_t *request, const atls_debug_t *debug, size_t limit,
    atls_failure_t *failure);

void atls_response_free(atls_response_t *response);

/*
 * Parses a piece of the response.  Data after its end are detected but not
 * read.
 */

atls_error_e atls_response_parse(atls_response_t *response,
    const unsigned char *bytes, size_t n);

/* Called when the connection is closed by close_notify. */

void atls_response_end(atls_response_t *response);

/* Whether the connection can be used for another request. */

int atls_response_reusable(const atls_response_t *response);


#endif /* ATLS_CLIENT_RESPONSE_H_INCLUDED */
