
/* atls gateway: a program of its own, since it needs libcoap. */


#ifndef ATLS_CMD_GATEWAY_H_INCLUDED
#define ATLS_CMD_GATEWAY_H_INCLUDED


/* Returns an exit code, if the program cannot be run. */

int cmd_gateway(int argc, char **argv);


#endif /* ATLS_CMD_GATEWAY_H_INCLUDED */
