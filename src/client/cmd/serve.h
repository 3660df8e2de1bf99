
/*
 * A TCP server for local programs.  Each connection has a thread.
 */


#ifndef ATLS_CMD_SERVE_H_INCLUDED
#define ATLS_CMD_SERVE_H_INCLUDED


#include "listen.h"
#include "stream.h"


/* Serves a connection; called in its thread. */

typedef void (*cmd_serve_pt)(void *data, cmd_stream_t *stream);


/*
 * Runs until a signal is received.  Then closes the listening sockets, serves
 * the connections accepted so far, and returns an exit code when all threads
 * have ended.
 */

int cmd_serve(cmd_listen_t *listen, cmd_serve_pt serve, void *data);


#endif /* ATLS_CMD_SERVE_H_INCLUDED */
