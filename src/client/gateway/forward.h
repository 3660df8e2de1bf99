
/*
 * Requests that are forwarded: from the body of a CoAP request to a POST, and
 * from the response to the POST to a CoAP response.
 */


#ifndef ATLS_GATEWAY_FORWARD_H_INCLUDED
#define ATLS_GATEWAY_FORWARD_H_INCLUDED


#include "context.h"


/*
 * Forwards a request to its service.  The request and the body are owned by it
 * from now on.  Returns -1, with the body freed, if this is not possible.
 */

int gw_forward(gw_request_t *request, unsigned char *body, size_t n);


#endif /* ATLS_GATEWAY_FORWARD_H_INCLUDED */
