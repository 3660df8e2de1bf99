
/*
 * The transport to an endpoint, see via.h.  ATLS_COAP is defined by the
 * Makefile if there is libcoap.
 */


#include <string.h>
#include <strings.h>

#include "via.h"


int
cmd_via(atls_transport_t *transport, const char *endpoint,
    const cmd_options_t *options, atls_failure_t *failure)
{
    memset(transport, 0, sizeof(atls_transport_t));

    if (!cmd_via_is_coap(endpoint)) {
        return 0;
    }

#if (ATLS_COAP)

    (void) failure;

    cmd_coap_transport(transport, &options->coap);

    return 0;

#else

    (void) options;

    atls_fail(failure, ATLS_ERROR_USAGE,
              "\"%s\" requires libcoap, this atls was built without it",
              endpoint);
    return -1;

#endif
}


int
cmd_via_is_coap(const char *endpoint)
{
    return strncasecmp(endpoint, "coap://", 7) == 0
           || strncasecmp(endpoint, "coaps://", 8) == 0;
}
