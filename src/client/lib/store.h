
/*
 * Stores of sessions, in a file or in memory, for any number of threads and,
 * if it is a file, processes.
 */


#ifndef ATLS_CLIENT_STORE_H_INCLUDED
#define ATLS_CLIENT_STORE_H_INCLUDED


#include "error.h"


/*
 * A file, which is made if it is not there.  It is refused if something else
 * is in it, if others may read it, or if it is not the user's own; so is its
 * directory if others may write to it.  NULL: it failed.
 */

atls_store_t *atls_store_open(const char *path, atls_failure_t *failure);

/* NULL: memory is short. */

atls_store_t *atls_store_memory(void);

void atls_store_close(atls_store_t *store);


#endif /* ATLS_CLIENT_STORE_H_INCLUDED */
