
/*
 * --session-file: TLS sessions for the next time, in one file.
 */


#ifndef ATLS_CMD_SESSIONS_H_INCLUDED
#define ATLS_CMD_SESSIONS_H_INCLUDED


#include "../lib/atls.h"


typedef struct cmd_sessions_s  cmd_sessions_t;

/*
 * Returns an exit code.  A file that has something else in it, that others may
 * read, or that is not the user's own, is refused; so is a directory that
 * others may write to.
 */

int cmd_sessions_open(cmd_sessions_t **sessions, const char *path);

void cmd_sessions_close(cmd_sessions_t *sessions);

const atls_store_t *cmd_sessions_store(const cmd_sessions_t *sessions);


#endif /* ATLS_CMD_SESSIONS_H_INCLUDED */
