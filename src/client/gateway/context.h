
/* The gateway: what all its parts have in common. */


#ifndef ATLS_GATEWAY_CONTEXT_H_INCLUDED
#define ATLS_GATEWAY_CONTEXT_H_INCLUDED


#include "echo.h"
#include "limits.h"
#include "post.h"
#include "rate.h"
#include "request.h"
#include "service.h"
#include "source.h"


typedef struct gw_s  gw_t;

struct gw_s {
    const cmd_options_t  *options;
    unsigned              format;       /* Content-Format */
    unsigned              szx;          /* of blocks */
    gw_services_t         services;

    coap_context_t       *coap;
    gw_poster_t           poster;
    gw_sources_t          sources;
    gw_requests_t         waiting;      /* Confirmable, not acknowledged yet,
                                           the oldest first */
    gw_echo_t             echo;
    gw_rate_t             rate;
    unsigned              etag;         /* the last one */

    gw_limits_t           limits;
    gw_counts_t           counts;
    int                   stopping;
};


#endif /* ATLS_GATEWAY_CONTEXT_H_INCLUDED */
