
/* Forwards a request of a local program and its response. */


#ifndef ATLS_CMD_RELAY_H_INCLUDED
#define ATLS_CMD_RELAY_H_INCLUDED


#include "answer.h"
#include "body.h"
#include "local.h"


typedef struct {
    const cmd_local_t    *local;
    cmd_stream_t         *stream;
    cmd_body_t            body;
    cmd_answer_t          answer;
    int64_t               deadline;     /* of atls_clock(); 0: none */

    int64_t               unsent;       /* since when there is something that
                                           was not sent; 0: there is nothing */
    int64_t               looked;       /* for the peer, the last time */
    unsigned              gone:1;       /* the peer has */
    unsigned              timed_out:1;
    unsigned              broken:1;     /* the answer ends early */

    char                 *error;        /* what has failed; NULL: nothing */
} cmd_relay_t;


void cmd_relay_init(cmd_relay_t *relay, const cmd_local_t *local,
    cmd_stream_t *stream, const atls_target_t *service, int64_t deadline);

void cmd_relay_free(cmd_relay_t *relay);

/* Always sends a response, unless the peer has closed the connection. */

void cmd_relay_perform(cmd_relay_t *relay, atls_client_t *client);

/* Without a client.  The text is kept as the error. */

void cmd_relay_refuse(cmd_relay_t *relay, int status, const char *text);

/* Whether the connection can be used for the next request. */

int cmd_relay_reusable(const cmd_relay_t *relay);


#endif /* ATLS_CMD_RELAY_H_INCLUDED */
