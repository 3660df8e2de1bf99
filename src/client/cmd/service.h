
/*
 * The service that a server's URL is of.
 */


#ifndef ATLS_CMD_SERVICE_H_INCLUDED
#define ATLS_CMD_SERVICE_H_INCLUDED


#include "../lib/target.h"


/*
 * A URL with a host, perhaps a port, and nothing else.  Returns an exit code;
 * whatever it is, the service is to be freed with atls_target_free().
 */

int cmd_service_parse(atls_target_t *service, const char *text);


#endif /* ATLS_CMD_SERVICE_H_INCLUDED */
