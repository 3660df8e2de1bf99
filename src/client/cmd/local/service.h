
/*
 * The service of atls forward and atls tunnel.
 */


#ifndef ATLS_CMD_SERVICE_H_INCLUDED
#define ATLS_CMD_SERVICE_H_INCLUDED


#include "../../lib/target.h"


/*
 * Parses a URL that has only a host and an optional port.  The service must be
 * freed with atls_target_free() in any case.  Returns an exit code.
 */

int cmd_service_parse(atls_target_t *service, const char *text);


#endif /* ATLS_CMD_SERVICE_H_INCLUDED */
