
/* Requests over ATLS: one client for consecutive URLs of an origin. */


#ifndef ATLS_CMD_INNER_H_INCLUDED
#define ATLS_CMD_INNER_H_INCLUDED


#include "../../lib/atls.h"
#include "transfer.h"


typedef struct {
    const cmd_options_t  *options;
    atls_store_t         *store;        /* NULL: sessions are not stored */
    atls_client_t        *client;
    char                 *origin;       /* origin of the client */
} cmd_inner_t;


/* Return an exit code. */

int cmd_inner_init(cmd_inner_t *inner, const cmd_options_t *options);
int cmd_inner_perform(cmd_inner_t *inner, cmd_transfer_t *transfer);

/* Closes the session, which takes a POST. */

void cmd_inner_done(cmd_inner_t *inner);


#endif /* ATLS_CMD_INNER_H_INCLUDED */
