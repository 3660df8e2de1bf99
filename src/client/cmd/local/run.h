
/*
 * atls run: runs a program with a proxy, as of atls proxy, for this program.
 */


#ifndef ATLS_CMD_RUN_H_INCLUDED
#define ATLS_CMD_RUN_H_INCLUDED


/*
 * Returns the exit code of the program, or an exit code of atls run.  If the
 * program was killed by a signal, the process is killed by it, too.
 */

int cmd_run(int argc, char **argv);


#endif /* ATLS_CMD_RUN_H_INCLUDED */
