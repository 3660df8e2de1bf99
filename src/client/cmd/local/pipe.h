
/*
 * A connection of a local TLS client, carried in POSTs: data from the client
 * are sent in the bodies of POSTs, and the bodies of the responses are sent to
 * the client.
 *
 *     if (cmd_pipe_open(&pipe, options, endpoint, stream) == 0) {
 *         cmd_pipe_run(&pipe);
 *     }
 *
 *     cmd_pipe_close(&pipe);
 */


#ifndef ATLS_CMD_PIPE_H_INCLUDED
#define ATLS_CMD_PIPE_H_INCLUDED


#include "../../lib/outer.h"
#include "../../lib/retry.h"
#include "../options/options.h"
#include "pump.h"
#include "stream.h"


#define CMD_PIPE_CONNECT    30000           /* milliseconds, as in atls.h */


typedef struct {
    cmd_stream_t    *stream;
    atls_outer_t    *outer;
    atls_retry_t     retry;                 /* its POSTs */
    atls_debug_t     debug;
    atls_failure_t   failure;               /* an empty text: none */
    char             tag[CMD_LISTEN_NAME + 1];

    cmd_pump_t       pump;                  /* with --poll */

    unsigned         poll:1;                /* --poll */
    unsigned         gone:1;                /* the session is aborted */
    unsigned         lost:1;                /* it was lost while idle */
    int64_t          closed;                /* when the client closed; 0:
                                               open */
    int64_t          began;
    unsigned         posts;
    uint64_t         sent;
    uint64_t         received;
} cmd_pipe_t;


/*
 * The outer connection for the options; NULL on error, with failure set.  The
 * second function only checks the options, and returns an exit code.
 */

atls_outer_t *cmd_pipe_outer(const cmd_options_t *options,
    const char *endpoint, const atls_debug_t *debug, atls_failure_t *failure);

int cmd_pipe_check(const cmd_options_t *options, const char *endpoint);

/*
 * Creates the outer connection.  Returns 0, or -1 on error, with pipe->failure
 * set.  The pipe must be closed in any case.
 */

int cmd_pipe_open(cmd_pipe_t *pipe, const cmd_options_t *options,
    const char *endpoint, cmd_stream_t *stream);

void cmd_pipe_close(cmd_pipe_t *pipe);

/*
 * Runs until the client closes the connection, a POST fails, or the session is
 * lost.  Then ends or resets the stream.
 */

void cmd_pipe_run(cmd_pipe_t *pipe);

/*
 * The end of a line of the log, from the POSTs on; must be freed.  The second
 * function makes it of these values.
 */

char *cmd_pipe_summary(const cmd_pipe_t *pipe);
char *cmd_pipe_line(unsigned posts, uint64_t sent, uint64_t received,
    int64_t began, const char *error);


#endif /* ATLS_CMD_PIPE_H_INCLUDED */
