
/*
 * A TCP server for local programs.  Each connection has a thread.
 */


#ifndef ATLS_CMD_SERVE_H_INCLUDED
#define ATLS_CMD_SERVE_H_INCLUDED


#include "listen.h"
#include "stream.h"


/* Serves a connection; called in its thread. */

typedef void (*cmd_serve_pt)(void *data, cmd_stream_t *stream);


/* Listening sockets, and the data for their connections. */

typedef struct {
    cmd_listen_t     listen;
    void            *data;
} cmd_port_t;


/*
 * Runs until it is stopped, see stop.h.  Then closes the listening sockets,
 * serves the connections accepted so far, and returns an exit code when all
 * threads have ended.
 */

int cmd_serve(cmd_port_t *ports, size_t n, cmd_serve_pt serve);


#endif /* ATLS_CMD_SERVE_H_INCLUDED */
