
/* -L: redirects to the same origin. */


#ifndef ATLS_CMD_REDIRECT_H_INCLUDED
#define ATLS_CMD_REDIRECT_H_INCLUDED


#include "transfer.h"


/*
 * Sets the URL and the body of the next request by the response, which is a
 * redirect.  Returns an exit code.
 */

int cmd_redirect(cmd_transfer_t *transfer);


#endif /* ATLS_CMD_REDIRECT_H_INCLUDED */
