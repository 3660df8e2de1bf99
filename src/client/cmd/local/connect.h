
/*
 * CONNECT requests of local programs: each becomes a connection to the service,
 * carried in POSTs.  TLS is up to the program.
 */


#ifndef ATLS_CMD_CONNECT_H_INCLUDED
#define ATLS_CMD_CONNECT_H_INCLUDED


#include "../options/options.h"
#include "access.h"
#include "stream.h"


typedef struct {
    const cmd_options_t  *options;
    const cmd_access_t   *access;           /* NULL: all requests are allowed */
    int                   log;              /* log all requests to stdout, not
                                               only failures to stderr */
} cmd_connect_t;


/* A cmd_serve_pt; data is a cmd_connect_t. */

void cmd_connect_serve(void *data, cmd_stream_t *stream);


#endif /* ATLS_CMD_CONNECT_H_INCLUDED */
