
/*
 * The default command: a request for each URL.
 */


#ifndef ATLS_CMD_FETCH_H_INCLUDED
#define ATLS_CMD_FETCH_H_INCLUDED


/* Returns an exit code. */

int cmd_fetch(int argc, char **argv);


#endif /* ATLS_CMD_FETCH_H_INCLUDED */
