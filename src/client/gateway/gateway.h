
/* atls gateway: from CoAP to ATLS over HTTP. */


#ifndef ATLS_GATEWAY_GATEWAY_H_INCLUDED
#define ATLS_GATEWAY_GATEWAY_H_INCLUDED


#include "../cmd/options/options.h"


/* Runs until it is stopped by a signal.  Returns an exit code. */

int gw_gateway(const cmd_options_t *options);


#endif /* ATLS_GATEWAY_GATEWAY_H_INCLUDED */
