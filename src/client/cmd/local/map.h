
/* --map: endpoints of services. */


#ifndef ATLS_CMD_MAP_H_INCLUDED
#define ATLS_CMD_MAP_H_INCLUDED


#include "../base/host.h"
#include "../options/options.h"


/* Checks the endpoints of all maps.  Returns an exit code. */

int cmd_map_check(const cmd_options_t *options);

/*
 * The endpoint of the first map that matches a host, or NULL.  A map without a
 * port matches port 443, as in URLs.
 */

const char *cmd_map_find(const cmd_options_t *options, const cmd_host_t *host);


#endif /* ATLS_CMD_MAP_H_INCLUDED */
