
/*
 * A pool of sessions with one service, for many threads.
 *
 * A session is used by one thread at a time.  If the maximum number of sessions
 * is in use, threads wait in a queue.  The most recently used idle session is
 * used first, so that others reach the idle timeout and are closed.
 *
 * With exported keys, all of them are one session, and have own connections.
 */


#ifndef ATLS_CMD_POOL_H_INCLUDED
#define ATLS_CMD_POOL_H_INCLUDED


#include "../options/options.h"


typedef struct cmd_pool_s  cmd_pool_t;


typedef struct {
    atls_client_t   *client;
    unsigned         number;            /* 1 or above */
} cmd_pooled_t;


/*
 * Checks the options and creates the pool.  Arguments must stay valid as long
 * as the pool.  Returns an exit code.
 */

int cmd_pool_create(cmd_pool_t **pool, const char *origin,
    const cmd_options_t *options);

/*
 * Takes a session, open or not.  The deadline is by atls_clock(); 0: none.
 * Returns NULL at the deadline, or if there is not enough memory.
 */

cmd_pooled_t *cmd_pool_take(cmd_pool_t *pool, int64_t deadline);

void cmd_pool_give(cmd_pool_t *pool, cmd_pooled_t *session);

/* Closes all sessions, with a POST for each.  None may be in use. */

void cmd_pool_free(cmd_pool_t *pool);


#endif /* ATLS_CMD_POOL_H_INCLUDED */
