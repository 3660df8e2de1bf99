
/*
 * atls tunnel: a TCP port here for any TLS client.  Its bytes go into POSTs as
 * they come, what is answered goes back; the TLS, its verification included,
 * is the client's own.
 */


#ifndef ATLS_CMD_TUNNEL_H_INCLUDED
#define ATLS_CMD_TUNNEL_H_INCLUDED


/* Returns an exit code. */

int cmd_tunnel(int argc, char **argv);


#endif /* ATLS_CMD_TUNNEL_H_INCLUDED */
