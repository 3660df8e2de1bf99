
/*
 * A program that is run in place of this process, as far as its parent and the
 * terminal are concerned: it is in the same process group, signals sent to this
 * process are passed on, and this process ends as the program did.
 */


#ifndef ATLS_CMD_CHILD_H_INCLUDED
#define ATLS_CMD_CHILD_H_INCLUDED


/* Ignores SIGPIPE in this process, but not in the program. */

void cmd_child_init(void);

/*
 * Starts a program, with the URL of its proxy in the environment.  Must be
 * called before any thread is started.  When the program has ended, cmd_stop()
 * is called.  Returns an exit code.
 */

int cmd_child_start(char **program, const char *proxy);

/* Waits for the end of the program. */

void cmd_child_wait(void);

/* Returns the exit code of the program, or ends with its signal. */

int cmd_child_end(void);


#endif /* ATLS_CMD_CHILD_H_INCLUDED */
