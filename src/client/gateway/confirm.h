
/*
 * Confirmable responses that were sent separately.  libcoap keeps each of them
 * until it is acknowledged, at most for MAX_TRANSMIT_WAIT, and does not say
 * when it is.  So their number is limited by time.
 */


#ifndef ATLS_GATEWAY_CONFIRM_H_INCLUDED
#define ATLS_GATEWAY_CONFIRM_H_INCLUDED


#include <sys/queue.h>

#include "share.h"


/* More than a device gets that waits for one response at a time. */

#define GW_CONFIRMS     64


typedef struct gw_confirm_s  gw_confirm_t;

struct gw_confirm_s {
    TAILQ_ENTRY(gw_confirm_s)    entry;
    int64_t                      sent;
    size_t                       size;      /* counted in the limits */
};

/* Of a source. */

typedef struct {
    TAILQ_HEAD(, gw_confirm_s)   list;      /* oldest first */
    unsigned                     n;
    gw_share_t                  *share;
} gw_confirms_t;


void gw_confirms_init(gw_confirms_t *confirms, gw_share_t *share);

/* Adds a response of a size.  Returns -1 if there are too many. */

int gw_confirm_add(gw_confirms_t *confirms, size_t size, int64_t now);

/* Frees those that libcoap does not have any more; now is INT64_MAX: all. */

void gw_confirms_expire(gw_confirms_t *confirms, int64_t now);


#endif /* ATLS_GATEWAY_CONFIRM_H_INCLUDED */
