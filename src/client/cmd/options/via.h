
/* The transport of POSTs to an endpoint, by the scheme of its URL. */


#ifndef ATLS_CMD_VIA_H_INCLUDED
#define ATLS_CMD_VIA_H_INCLUDED


#include "../../lib/transport.h"
#include "options.h"


/*
 * Fills the transport for an endpoint; it is zeroed if that has an http or
 * https URL.  The options must stay valid.  Returns 0, or -1 with an error in
 * failure.
 */

int cmd_via(atls_transport_t *transport, const char *endpoint,
    const cmd_options_t *options, atls_failure_t *failure);

/* Whether the endpoint is that of a gateway: its URL is a coap or coaps URI. */

int cmd_via_is_coap(const char *endpoint);


#endif /* ATLS_CMD_VIA_H_INCLUDED */
