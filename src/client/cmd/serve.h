
/*
 * A TCP server for local programs: a thread for each connection, until a
 * signal says that it is enough.
 */


#ifndef ATLS_CMD_SERVE_H_INCLUDED
#define ATLS_CMD_SERVE_H_INCLUDED


#include "listen.h"
#include "stream.h"


/* Serves a connection, in a thread of its own. */

typedef void (*cmd_serve_pt)(void *data, cmd_stream_t *stream);


/*
 * When a signal has come, those that have connected by then are served, and
 * the rest is refused.  Returns, with an exit code, when all threads have
 * ended; the addresses are closed by then.
 */

int cmd_serve(cmd_listen_t *listen, cmd_serve_pt serve, void *data);


#endif /* ATLS_CMD_SERVE_H_INCLUDED */
