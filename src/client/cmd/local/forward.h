
/*
 * atls forward: forwards plain HTTP requests of local programs over ATLS.
 */


#ifndef ATLS_CMD_FORWARD_H_INCLUDED
#define ATLS_CMD_FORWARD_H_INCLUDED


/* Returns an exit code. */

int cmd_forward(int argc, char **argv);


#endif /* ATLS_CMD_FORWARD_H_INCLUDED */
