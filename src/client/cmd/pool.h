
/*
 * Sessions with one service, for many threads.  Each is used by one at a time.
 * There is a limit of them: who comes when all are in use waits, and is served
 * in turn.  Of those that are idle, the one that was used last is the next, so
 * that the others can be closed after a while.
 */


#ifndef ATLS_CMD_POOL_H_INCLUDED
#define ATLS_CMD_POOL_H_INCLUDED


#include "options.h"


typedef struct cmd_pool_s  cmd_pool_t;


typedef struct {
    atls_client_t   *client;
    unsigned         number;            /* from 1 on */
} cmd_session_t;


/*
 * Returns an exit code: what can be wrong with options is looked for.
 * Everything that is given must outlive the pool.
 */

int cmd_pool_create(cmd_pool_t **pool, const char *origin,
    const cmd_options_t *options);

/*
 * A session that may be open or not.  deadline: as atls_clock() tells it; 0 for
 * none.  NULL: there was none in time, or memory is short.
 */

cmd_session_t *cmd_pool_take(cmd_pool_t *pool, int64_t deadline);

void cmd_pool_give(cmd_pool_t *pool, cmd_session_t *session);

/* Ends all sessions, which takes a POST each.  None may be in use. */

void cmd_pool_free(cmd_pool_t *pool);


#endif /* ATLS_CMD_POOL_H_INCLUDED */
