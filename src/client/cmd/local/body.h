
/* The body of a request of a local program. */


#ifndef ATLS_CMD_BODY_H_INCLUDED
#define ATLS_CMD_BODY_H_INCLUDED


#include "../../lib/http.h"
#include "local.h"


typedef struct {
    cmd_stream_t    *stream;
    int64_t          rest;          /* bytes left; ATLS_LENGTH_UNKNOWN:
                                       chunked */
    int64_t          deadline;      /* by atls_clock(); 0: none */
    unsigned         expect:1;      /* send 100 (Continue) */
    unsigned         ended:1;       /* the whole body was read */

    int              status;        /* status of the error response; 0: no
                                       error, or the client closed the
                                       connection */
    const char      *error;

    atls_chunks_t    chunks;
} cmd_body_t;


void cmd_body_init(cmd_body_t *body, const cmd_local_t *local,
    cmd_stream_t *stream);

/*
 * Reads 1 to size bytes.  Returns their number, 0 at the end, or -1 on error.
 */

long cmd_body_read(cmd_body_t *body, void *buf, size_t size);


#endif /* ATLS_CMD_BODY_H_INCLUDED */
