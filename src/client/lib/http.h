
/*
 * The answer to one inner request, HTTP/1.x (RFC 9112), as strictly as it can
 * be read.
 */


#ifndef ATLS_CLIENT_HTTP_H_INCLUDED
#define ATLS_CLIENT_HTTP_H_INCLUDED


#include "buf.h"
#include "debug.h"
#include "error.h"


typedef enum {
    ATLS_HTTP_HEADER = 0,
    ATLS_HTTP_COUNTED,                      /* body with a Content-Length */
    ATLS_HTTP_EOF,                          /* body until the end */
    ATLS_HTTP_CHUNK_SIZE,
    ATLS_HTTP_CHUNK_EXTENSION,
    ATLS_HTTP_CHUNK_START,                  /* LF */
    ATLS_HTTP_CHUNK,
    ATLS_HTTP_CHUNK_END,                    /* CR */
    ATLS_HTTP_CHUNK_NEXT,                   /* LF */
    ATLS_HTTP_TRAILER,                      /* at a line's beginning */
    ATLS_HTTP_TRAILER_LINE,
    ATLS_HTTP_TRAILER_NEXT,                 /* LF */
    ATLS_HTTP_LAST,                         /* LF */
    ATLS_HTTP_COMPLETE
} atls_http_e;


typedef struct {
    const atls_request_t    *request;       /* its callbacks */
    atls_failure_t          *failure;
    const atls_debug_t      *debug;
    size_t                   limit;         /* of all headers together */

    unsigned                 head:1;        /* to a HEAD: no body */
    unsigned                 too_early:1;   /* a 425 is not to be shown */

    atls_http_e              state;
    atls_buf_t               header;
    size_t                   line;          /* where its last line begins */
    size_t                   read;          /* of headers, chunk lines */
    uint64_t                 left;          /* of the body or the chunk */
    unsigned                 digits;        /* of the chunk's size */

    int                      status;        /* 0: there is none yet */
    unsigned                 minor:1;       /* HTTP/1.1 */
    unsigned                 close:1;       /* says Connection: close */
    unsigned                 keep:1;        /* says keep-alive */
    unsigned                 chunked:1;
    unsigned                 counted:1;
    unsigned                 delivered:1;   /* a callback was called */
    unsigned                 hidden:1;      /* by too_early */
    unsigned                 extra:1;       /* there is something after it */
} atls_http_t;


/* Prepares for an answer.  The structure is zero, or was used before. */

void atls_http_begin(atls_http_t *http, const atls_request_t *request,
    const atls_debug_t *debug, size_t limit, atls_failure_t *failure);

void atls_http_free(atls_http_t *http);

/* A piece of the answer.  What comes after it is noted, and left. */

atls_error_e atls_http_feed(atls_http_t *http, const unsigned char *bytes,
    size_t n);

/* The connection was closed, in the way that TLS does it. */

void atls_http_end(atls_http_t *http);

/* The answer leaves the connection open and clean. */

int atls_http_reusable(const atls_http_t *http);

/* Tokens, field values: RFC 9110, section 5.6.2 and 5.5. */

int atls_http_is_token(const char *text, size_t n);
int atls_http_is_value(const char *text, size_t n);


#endif /* ATLS_CLIENT_HTTP_H_INCLUDED */
