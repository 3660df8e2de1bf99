
/*
 * Sessions to be resumed, for several threads: in memory, or in a store that
 * is for one thread.
 */


#ifndef ATLS_CMD_SHARED_H_INCLUDED
#define ATLS_CMD_SHARED_H_INCLUDED


#include "../lib/atls.h"


typedef struct cmd_shared_s  cmd_shared_t;

/* store: NULL for memory; else it must outlive this. */

cmd_shared_t *cmd_shared_create(const atls_store_t *store);

void cmd_shared_free(cmd_shared_t *shared);

const atls_store_t *cmd_shared_store(const cmd_shared_t *shared);


#endif /* ATLS_CMD_SHARED_H_INCLUDED */
