
/* The CoAP side: libcoap's context, the addresses, DTLS. */


#ifndef ATLS_GATEWAY_SERVER_H_INCLUDED
#define ATLS_GATEWAY_SERVER_H_INCLUDED


#include "context.h"
#include "psk.h"


/*
 * Creates gateway->coap, which listens on the addresses of the options, and
 * passes requests to gw_handle().  The keys must stay valid.  Must be closed in
 * any case.  Returns an exit code.
 */

int gw_server_open(gw_t *gateway, const gw_psk_t *psk);

void gw_server_close(gw_t *gateway);


#endif /* ATLS_GATEWAY_SERVER_H_INCLUDED */
