
/* The handler of requests: what is checked, in which order. */


#ifndef ATLS_GATEWAY_HANDLE_H_INCLUDED
#define ATLS_GATEWAY_HANDLE_H_INCLUDED


#include "context.h"


/* A message was received.  The response is made by libcoap, and sent by it. */

void gw_handle(gw_t *gateway, coap_session_t *coap, const coap_pdu_t *pdu,
    coap_pdu_t *response);


#endif /* ATLS_GATEWAY_HANDLE_H_INCLUDED */
