
/* The metrics, as text in Prometheus' format, on a local port. */


#ifndef ATLS_GATEWAY_METRICS_H_INCLUDED
#define ATLS_GATEWAY_METRICS_H_INCLUDED


#include <curl/curl.h>

#include "../cmd/local/listen.h"
#include "context.h"


#define GW_METRICS_CLIENTS  8           /* at a time */


typedef struct {
    int              fd;                /* -1: none */
    size_t           received;
    atls_buf_t       out;
    size_t           sent;
    int64_t          deadline;
    char             in[1024];
} gw_metrics_client_t;

typedef struct {
    cmd_listen_t          listen;
    gw_metrics_client_t   clients[GW_METRICS_CLIENTS];
} gw_metrics_t;


/*
 * Listens, if the option is given.  The structure must be closed in any case.
 * Returns an exit code.
 */

int gw_metrics_open(gw_metrics_t *metrics, const cmd_options_t *options);

void gw_metrics_close(gw_metrics_t *metrics);

/* Adds its descriptors to an array, and returns how many. */

#define GW_METRICS_FDS      (CMD_LISTEN_SOCKETS + GW_METRICS_CLIENTS)

unsigned gw_metrics_fds(const gw_metrics_t *metrics, struct curl_waitfd *fds);

/* Does what is possible without waiting. */

void gw_metrics_run(gw_metrics_t *metrics, const gw_t *gateway);


#endif /* ATLS_GATEWAY_METRICS_H_INCLUDED */
