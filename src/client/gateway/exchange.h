
/*
 * Requests of a source by message ID: a request that is received twice is
 * processed once (RFC 7252, section 4.5).  libcoap does not do this: it
 * compares the last Confirmable message only, and only for a proxy.
 */


#ifndef ATLS_GATEWAY_EXCHANGE_H_INCLUDED
#define ATLS_GATEWAY_EXCHANGE_H_INCLUDED


#include <sys/queue.h>

#include "limits.h"
#include "message.h"


typedef struct gw_exchange_s  gw_exchange_t;
typedef struct gw_exchanges_s  gw_exchanges_t;

struct gw_exchange_s {
    TAILQ_ENTRY(gw_exchange_s)   entry;     /* of the source */
    TAILQ_ENTRY(gw_exchange_s)   global;
    gw_exchanges_t              *exchanges;
    int                          mid;
    int                          answered;
    int                          separate;  /* not in an acknowledgement */
    int64_t                      began;
    gw_message_t                 message;   /* that was sent */
};

/* Of all sources; its memory is limited. */

typedef struct {
    TAILQ_HEAD(, gw_exchange_s)  list;      /* oldest first */
    size_t                       memory;
    size_t                       max_memory;
} gw_history_t;

/* Of a source. */

struct gw_exchanges_s {
    TAILQ_HEAD(, gw_exchange_s)  list;      /* oldest first */
    unsigned                     n;
    gw_history_t                *history;
};


void gw_history_init(gw_history_t *history, size_t max_memory);

void gw_exchanges_init(gw_exchanges_t *exchanges, gw_history_t *history);

/* The result is valid until the next call with the same list. */

gw_exchange_t *gw_exchange_find(const gw_exchanges_t *exchanges, int mid);

/* Adds a request.  If there are too many, the oldest ones are forgotten. */

void gw_exchange_add(gw_exchanges_t *exchanges, int mid, int64_t now);

/*
 * The request that began then was answered; the message is copied, NULL: it is
 * not kept.
 */

void gw_exchange_answer(gw_exchanges_t *exchanges, int mid, int64_t began,
    const gw_message_t *message);

/* Forgets requests that cannot be repeated any more; now is INT64_MAX: all. */

void gw_exchanges_expire(gw_exchanges_t *exchanges, int64_t now);


#endif /* ATLS_GATEWAY_EXCHANGE_H_INCLUDED */
