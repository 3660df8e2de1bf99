
/*
 * atls tunnel --udp: carries the datagrams of local DTLS clients in POSTs.
 */


#ifndef ATLS_CMD_UDP_H_INCLUDED
#define ATLS_CMD_UDP_H_INCLUDED


#include "../options/options.h"
#include "listen.h"


/*
 * Runs until it is stopped, see stop.h.  Then closes the sockets, and returns
 * an exit code when the POSTs in progress have ended.
 */

int cmd_udp_serve(cmd_listen_t *listen, const cmd_options_t *options,
    const char *endpoint);


#endif /* ATLS_CMD_UDP_H_INCLUDED */
