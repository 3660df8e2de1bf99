
/* Forwards a request of a local program and its response. */


#ifndef ATLS_CMD_RELAY_H_INCLUDED
#define ATLS_CMD_RELAY_H_INCLUDED


#include "answer.h"
#include "body.h"
#include "local.h"
#include "pump.h"


typedef struct {
    const cmd_local_t    *local;
    cmd_stream_t         *stream;
    cmd_body_t            body;
    cmd_answer_t          answer;
    int64_t               deadline;     /* by atls_clock(); 0: none */

    int64_t               unsent;       /* since when request data are not sent;
                                           0: all are sent */
    int64_t               checked;      /* time of the last check for a closed
                                           connection */
    unsigned              gone:1;       /* the client closed the connection */
    unsigned              timed_out:1;
    unsigned              broken:1;     /* the response was truncated */

    cmd_pump_t            pump;         /* after an upgrade */

    char                 *error;        /* NULL: no error */
} cmd_relay_t;


void cmd_relay_init(cmd_relay_t *relay, const cmd_local_t *local,
    cmd_stream_t *stream, const atls_target_t *service, int64_t deadline);

void cmd_relay_free(cmd_relay_t *relay);

/* Always sends a response, unless the client closed the connection. */

void cmd_relay_perform(cmd_relay_t *relay, atls_client_t *client);

/* Sends an error response without forwarding the request. */

void cmd_relay_reject(cmd_relay_t *relay, int status, const char *text);

/* Whether the connection can be used for the next request. */

int cmd_relay_reusable(const cmd_relay_t *relay);


#endif /* ATLS_CMD_RELAY_H_INCLUDED */
