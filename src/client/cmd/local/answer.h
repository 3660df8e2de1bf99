
/* The response to a request of a local program. */


#ifndef ATLS_CMD_ANSWER_H_INCLUDED
#define ATLS_CMD_ANSWER_H_INCLUDED


#include "../../lib/target.h"
#include "../base/headers.h"
#include "local.h"


typedef struct {
    const cmd_local_t    *local;
    const cmd_stream_t   *stream;
    const atls_target_t  *service;

    int                   status;       /* 0: not received yet */
    char                 *reason;
    cmd_headers_t         headers;

    unsigned              begun:1;      /* the header was sent */
    unsigned              empty:1;      /* the response has no body */
    unsigned              chunked:1;
    unsigned              close:1;      /* no keep-alive */
    int64_t               sent;         /* bytes of the body */
} cmd_answer_t;


void cmd_answer_init(cmd_answer_t *answer, const cmd_local_t *local,
    const cmd_stream_t *stream, const atls_target_t *service);

void cmd_answer_free(cmd_answer_t *answer);

/*
 * Sets the status and headers of the service's response.  They are sent by
 * cmd_answer_begin() or with the first piece of the body.
 */

void cmd_answer_status(cmd_answer_t *answer, int status, const char *reason);
void cmd_answer_header(cmd_answer_t *answer, const char *name,
    const char *value);

/* Return 0, or -1 if the client closed the connection. */

int cmd_answer_begin(cmd_answer_t *answer);
int cmd_answer_body(cmd_answer_t *answer, const void *bytes, size_t n);
int cmd_answer_end(cmd_answer_t *answer);

/*
 * Sends an error response with a line of text.  If retry_after is not 0, it is
 * sent in Retry-After, in seconds.
 */

int cmd_answer_error(cmd_answer_t *answer, int status, const char *text,
    long retry_after);


#endif /* ATLS_CMD_ANSWER_H_INCLUDED */
