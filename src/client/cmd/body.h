
/* The body of a request of a local program. */


#ifndef ATLS_CMD_BODY_H_INCLUDED
#define ATLS_CMD_BODY_H_INCLUDED


#include "../lib/http.h"
#include "local.h"


typedef struct {
    cmd_stream_t    *stream;
    int64_t          rest;          /* ATLS_LENGTH_UNKNOWN: chunked */
    int64_t          deadline;      /* of atls_clock(); 0: none */
    unsigned         expect:1;      /* 100 (Continue) is to be sent */
    unsigned         ended:1;       /* all of it was read */

    int              status;        /* why reading failed; 0: it did not, or the
                                       peer has gone */
    const char      *error;

    atls_chunks_t    chunks;
} cmd_body_t;


void cmd_body_init(cmd_body_t *body, const cmd_local_t *local,
    cmd_stream_t *stream);

/* The next bytes, at least one: how many, 0 at the end, -1 if it failed. */

long cmd_body_read(cmd_body_t *body, void *buf, size_t size);


#endif /* ATLS_CMD_BODY_H_INCLUDED */
