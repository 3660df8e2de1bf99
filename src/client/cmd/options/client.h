
/*
 * Creation of libatls clients from command line options.
 */


#ifndef ATLS_CMD_CLIENT_H_INCLUDED
#define ATLS_CMD_CLIENT_H_INCLUDED


#include "options.h"


/*
 * Creates a client from the options.  The store and the tag may be NULL; the
 * tag is passed to cmd_verbose().  Returns an exit code; on error, *client is
 * NULL.
 */

int cmd_client_create(atls_client_t **client, const char *origin,
    const cmd_options_t *options, const atls_store_t *store, char *tag);

/*
 * Opens a store of sessions: a file, or memory if path is NULL.  It must be
 * closed by atls_store_close().  Returns an exit code.
 */

int cmd_client_store(atls_store_t **store, const char *path);

/* The exit code for an error, without details of its cause. */

int cmd_client_code(atls_error_e error);

/*
 * Prints an error message for the last call; returns the exit code, which may
 * depend on whether a part of the response was received (answered).
 */

int cmd_client_fail(atls_client_t *client, atls_error_e error, int answered);

/*
 * Whether the request of the last call, which failed with an exit code that
 * denies this, may have been processed.
 */

int cmd_client_may_be_processed(const atls_client_t *client,
    atls_error_e error, int code);


#endif /* ATLS_CMD_CLIENT_H_INCLUDED */
