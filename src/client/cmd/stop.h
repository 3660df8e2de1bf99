
/*
 * Signals that end the program: the first SIGINT or SIGTERM asks it to, the
 * second one does.
 */


#ifndef ATLS_CMD_STOP_H_INCLUDED
#define ATLS_CMD_STOP_H_INCLUDED


/* Returns an exit code. */

int cmd_stop_init(void);

/* Whether a signal was received. */

int cmd_stopping(void);

/* A descriptor that can be read from as soon as one has; nobody does. */

int cmd_stop_fd(void);


#endif /* ATLS_CMD_STOP_H_INCLUDED */
