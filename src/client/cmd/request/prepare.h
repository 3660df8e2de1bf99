
/*
 * atls prepare: gets an association of a service, for later.
 */


#ifndef ATLS_CMD_PREPARE_H_INCLUDED
#define ATLS_CMD_PREPARE_H_INCLUDED


/* Returns an exit code. */

int cmd_prepare(int argc, char **argv);


#endif /* ATLS_CMD_PREPARE_H_INCLUDED */
