
/*
 * The path of a request, and of a session:
 *
 *     .well-known/atls                         the endpoint
 *     .well-known/atls/RELATIVE                a session of the default service
 *     .well-known/atls/NAME/RELATIVE           of another one
 *
 * RELATIVE is what follows the endpoint's URL in the session's URL.  So any
 * gateway with the same services understands it.
 */


#ifndef ATLS_GATEWAY_PATH_H_INCLUDED
#define ATLS_GATEWAY_PATH_H_INCLUDED


#include "message.h"
#include "service.h"


#define GW_PATH             ".well-known/atls"


typedef struct {
    const gw_service_t  *service;       /* of a session */
    char                *relative;      /* escaped, as in a URL; NULL: the
                                           endpoint */
} gw_path_t;


/* Reads the Uri-Path options.  Returns -1 if there is nothing at this path. */

int gw_path_read(gw_path_t *path, const coap_pdu_t *pdu,
    const gw_services_t *services);

/*
 * Adds Location-Path options.  Returns -1 if the path does not fit in them, or
 * would be that of another service.
 */

int gw_path_write(gw_message_t *message, const gw_services_t *services,
    const gw_service_t *service, const char *relative);

void gw_path_free(gw_path_t *path);


#endif /* ATLS_GATEWAY_PATH_H_INCLUDED */
