
/* A CoAP request. */


#ifndef ATLS_GATEWAY_REQUEST_H_INCLUDED
#define ATLS_GATEWAY_REQUEST_H_INCLUDED


#include <sys/queue.h>

#include "path.h"
#include "source.h"


#define GW_TOKEN            8           /* bytes, RFC 7252, section 3 */
#define GW_NO_FORMAT        65536       /* there is no Content-Format */
#define GW_HOST             256

struct gw_s;


typedef struct gw_request_s  gw_request_t;

struct gw_request_s {
    TAILQ_ENTRY(gw_request_s)    entry;     /* if it waits */
    struct gw_s                 *gateway;
    gw_source_t                 *source;    /* kept by a reference to libcoap's
                                               session while it is forwarded */

    /* the message */

    int                          mid;
    int                          confirmable;
    int                          waiting;   /* in the list of the gateway */
    int                          acknowledged;
    unsigned char                token[GW_TOKEN];
    size_t                       ntoken;

    /* the request */

    int                          get;       /* not POST */
    gw_path_t                    path;
    char                        *key;       /* of its blocks */
    char                         host[GW_HOST];     /* Uri-Host, or "" */
    unsigned                     format;
    unsigned                     accept;
    int                          has_block1;
    int                          has_block2;
    cmd_block_t                   block1;
    cmd_block_t                   block2;
    const unsigned char         *echo;      /* in the message, or NULL */
    size_t                       necho;

    /* what becomes of it */

    const gw_service_t          *service;
    char                        *relative;  /* of the POST; NULL: endpoint */
    size_t                       size;      /* of the body */
    int64_t                      began;     /* milliseconds */
    int                          status;    /* of HTTP; 0: none */
    const char                  *note;      /* for the log, or NULL */
};

typedef TAILQ_HEAD(gw_requests_s, gw_request_s)  gw_requests_t;


/*
 * Reads a message.  The structure must be zeroed, and freed in any case.
 * Returns 0, or the code of an error response.
 */

int gw_request_read(gw_request_t *request, const coap_pdu_t *pdu,
    const gw_services_t *services);

void gw_request_free(gw_request_t *request);


#endif /* ATLS_GATEWAY_REQUEST_H_INCLUDED */
