
/* Responses to requests. */


#ifndef ATLS_GATEWAY_RESPOND_H_INCLUDED
#define ATLS_GATEWAY_RESPOND_H_INCLUDED


#include "context.h"


/*
 * Responds, and frees the contents of the message.  If the payload is larger
 * than a block, the source gets the first one.  The response is one that
 * libcoap has made for its handler, or NULL: then, it is sent in an
 * acknowledgement or, if there was one, in a message of its own.
 */

void gw_respond(gw_request_t *request, gw_message_t *message,
    coap_pdu_t *response);

/* Responds with a code, a Max-Age in seconds if it is not 0, and a payload. */

void gw_respond_error(gw_request_t *request, int code, unsigned max_age,
    coap_pdu_t *response);

/*
 * Counts a response, or an acknowledgement with a message that is zeroed, that
 * is sent to a source whose address may be forged.
 */

void gw_respond_spend(gw_t *gateway, const gw_source_t *source,
    const gw_message_t *message);

/* Acknowledges a request whose response will be separate. */

void gw_respond_later(gw_request_t *request);


#endif /* ATLS_GATEWAY_RESPOND_H_INCLUDED */
