
/*
 * Signals that stop the servers.  After the first SIGINT or SIGTERM, the server
 * completes requests and exits; the second one kills the process.
 */


#ifndef ATLS_CMD_STOP_H_INCLUDED
#define ATLS_CMD_STOP_H_INCLUDED


/* Returns an exit code. */

int cmd_stop_init(void);

/*
 * The same without the signals: the server is stopped by cmd_stop(), which can
 * be called in a signal handler.
 */

int cmd_stop_create(void);
void cmd_stop(void);

/* Whether the server is being stopped. */

int cmd_stopping(void);

/* A descriptor that is readable if so.  It must not be read. */

int cmd_stop_fd(void);


#endif /* ATLS_CMD_STOP_H_INCLUDED */
