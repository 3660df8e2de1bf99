
/*
 * atls tunnel: carries the records of local TLS clients in POSTs.  TLS,
 * including verification, is up to the clients.
 */


#ifndef ATLS_CMD_TUNNEL_H_INCLUDED
#define ATLS_CMD_TUNNEL_H_INCLUDED


/* Returns an exit code. */

int cmd_tunnel(int argc, char **argv);


#endif /* ATLS_CMD_TUNNEL_H_INCLUDED */
