
/*
 * Signals that stop the servers.  After the first SIGINT or SIGTERM, the server
 * completes requests and exits; the second one kills the process.
 */


#ifndef ATLS_CMD_STOP_H_INCLUDED
#define ATLS_CMD_STOP_H_INCLUDED


/* Returns an exit code. */

int cmd_stop_init(void);

/* Whether a signal was received. */

int cmd_stopping(void);

/* A descriptor that is readable after a signal.  It must not be read. */

int cmd_stop_fd(void);


#endif /* ATLS_CMD_STOP_H_INCLUDED */
