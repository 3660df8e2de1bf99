
/*
 * atls proxy: a local HTTP proxy with CONNECT, for any service.
 */


#ifndef ATLS_CMD_PROXY_H_INCLUDED
#define ATLS_CMD_PROXY_H_INCLUDED


/* Returns an exit code. */

int cmd_proxy(int argc, char **argv);


#endif /* ATLS_CMD_PROXY_H_INCLUDED */
