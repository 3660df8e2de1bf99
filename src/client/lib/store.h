
/*
 * Stores of sessions, in a file or in memory.  They can be used by any number
 * of threads, a file also by any number of processes.
 */


#ifndef ATLS_CLIENT_STORE_H_INCLUDED
#define ATLS_CLIENT_STORE_H_INCLUDED


#include "error.h"


/*
 * Opens a file, and creates it if it does not exist.  A file is rejected if it
 * has other content, is accessible by others or belongs to another user, or if
 * its directory is writable by others.  Returns NULL on error.
 */

atls_store_t *atls_store_open(const char *path, atls_failure_t *failure);

/* Returns NULL if there is not enough memory. */

atls_store_t *atls_store_memory(void);

void atls_store_close(atls_store_t *store);

/* The errno of the last change, if it was not saved in the file, or 0. */

int atls_store_error(const atls_store_t *store);


#endif /* ATLS_CLIENT_STORE_H_INCLUDED */
