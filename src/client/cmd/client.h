
/*
 * A client of the library as the command line wants it.
 */


#ifndef ATLS_CMD_CLIENT_H_INCLUDED
#define ATLS_CMD_CLIENT_H_INCLUDED


#include "options.h"


/*
 * Returns an exit code; on an error, *client is NULL.  store and tag may be
 * NULL; the latter is that of cmd_verbose().
 */

int cmd_client_create(atls_client_t **client, const char *origin,
    const cmd_options_t *options, const atls_store_t *store, char *tag);

/*
 * Where sessions are kept: a file, or NULL for memory.  Returns an exit code;
 * to be closed by atls_store_close().
 */

int cmd_client_store(atls_store_t **store, const char *path);

/* Says what the client has to say of its error; returns the exit code. */

int cmd_client_fail(atls_client_t *client, atls_error_e error, int answered);


#endif /* ATLS_CMD_CLIENT_H_INCLUDED */
