
/*
 * The route of outer connections and of plain HTTPS, from command line options.
 */


#ifndef ATLS_CMD_ROUTE_H_INCLUDED
#define ATLS_CMD_ROUTE_H_INCLUDED


#include "../../lib/route.h"
#include "options.h"


/* The options must stay valid as long as the configuration. */

void cmd_route(atls_route_conf_t *conf, const cmd_options_t *options);


#endif /* ATLS_CMD_ROUTE_H_INCLUDED */
