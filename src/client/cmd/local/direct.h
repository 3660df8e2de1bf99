
/*
 * Connections to hosts without ATLS: bytes of a local program are passed on,
 * unchanged.  The outer proxy, if any, is used with CONNECT.
 */


#ifndef ATLS_CMD_DIRECT_H_INCLUDED
#define ATLS_CMD_DIRECT_H_INCLUDED


#include <curl/curl.h>

#include "../../lib/debug.h"
#include "../../lib/error.h"
#include "../../lib/route.h"
#include "../base/host.h"
#include "../options/options.h"
#include "stream.h"


typedef struct {
    cmd_stream_t    *stream;                /* the local program */
    CURL            *curl;                  /* the host */
    curl_socket_t    fd;
    atls_route_t     route;
    atls_debug_t     debug;
    char             tag[CMD_LISTEN_NAME + 1];

    unsigned         gone:1;                /* the program closed the
                                               connection while connecting */
    unsigned         broken:1;              /* a connection failed */
    unsigned         sent_all:1;            /* to the end */
    unsigned         received_all:1;

    int64_t          began;
    uint64_t         sent;
    uint64_t         received;
    atls_failure_t   failure;
    char             error[CURL_ERROR_SIZE];
} cmd_direct_t;


/*
 * Connects.  Returns 0, or -1 on error, with direct->failure set.  The
 * connection must be closed in any case.
 */

int cmd_direct_open(cmd_direct_t *direct, const cmd_options_t *options,
    const cmd_host_t *host, cmd_stream_t *stream);

void cmd_direct_close(cmd_direct_t *direct);

/* Runs until both sides have sent all, or a connection fails. */

void cmd_direct_run(cmd_direct_t *direct);

/* The end of a line of the log; must be freed. */

char *cmd_direct_summary(const cmd_direct_t *direct);


#endif /* ATLS_CMD_DIRECT_H_INCLUDED */
