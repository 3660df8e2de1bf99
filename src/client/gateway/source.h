
/*
 * A source: an address and a port from which requests come, or a DTLS session.
 * It exists as long as libcoap's session.
 */


#ifndef ATLS_GATEWAY_SOURCE_H_INCLUDED
#define ATLS_GATEWAY_SOURCE_H_INCLUDED


#include <sys/queue.h>

#include "answer.h"
#include "confirm.h"
#include "exchange.h"
#include "service.h"
#include "share.h"
#include "upload.h"


#define GW_SOURCE_NAME      80


typedef struct gw_source_s  gw_source_t;
typedef struct gw_sources_s  gw_sources_t;

struct gw_source_s {
    TAILQ_ENTRY(gw_source_s)     entry;
    gw_sources_t                *sources;
    coap_session_t              *coap;      /* not owned */
    char                         name[GW_SOURCE_NAME];
    gw_share_t                  *share;     /* of its address */
    int                          secure;    /* DTLS */
    int                          verified;  /* its address is not forged */
    int64_t                      echoed;    /* when it was verified by Echo */

    TAILQ_ENTRY(gw_source_s)     order;     /* if it is kept */
    int                          kept;      /* by a reference to libcoap's
                                               session */
    int64_t                      used;

    gw_exchanges_t               exchanges;
    gw_uploads_t                 uploads;
    gw_answers_t                 answers;
    gw_confirms_t                confirms;

    /* its last session, for clients that ignore Location-Path */

    const gw_service_t          *service;
    char                        *relative;  /* NULL: none */
    int                          fresh;     /* has had one response */
};

struct gw_sources_s {
    TAILQ_HEAD(, gw_source_s)    list;
    TAILQ_HEAD(, gw_source_s)    kept;      /* longest idle first */
    unsigned                     nkept;
    gw_history_t                 history;
    gw_shares_t                  shares;
};


void gw_sources_init(gw_sources_t *sources, gw_limits_t *limits);

/* Must be called before libcoap's sessions are freed. */

void gw_sources_free(gw_sources_t *sources);

/* The source of a session of libcoap, which is created if there is none. */

gw_source_t *gw_source_get(gw_sources_t *sources, coap_session_t *coap);

/*
 * A source whose address was verified was used.  libcoap ends the session that
 * was idle for the longest time when there are too many.  This one is not ended
 * for those of other addresses, which may be forged, and cost a datagram each.
 * An address may have as many of these as are left.
 */

void gw_source_keep(gw_source_t *source, int64_t now);

/* It is closed: from now on, it is one of libcoap's idle sessions. */

void gw_source_closed(gw_source_t *source);

/* libcoap's session is about to be freed. */

void gw_source_gone(coap_session_t *coap);

/* Sets the last session; relative is copied, NULL: there is none. */

void gw_source_set(gw_source_t *source, const gw_service_t *service,
    const char *relative);

/* Frees what has expired; called once a second. */

void gw_sources_expire(gw_sources_t *sources, int64_t now);

/* Whether a source has not read a response to its end. */

int gw_sources_unread(const gw_sources_t *sources);


#endif /* ATLS_GATEWAY_SOURCE_H_INCLUDED */
