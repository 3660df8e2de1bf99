
/*
 * The response to a request: its header, its body, and their output.
 */


#ifndef ATLS_CMD_RECEIVE_H_INCLUDED
#define ATLS_CMD_RECEIVE_H_INCLUDED


#include "transfer.h"


/* Forgets the previous response. */

void cmd_receive_begin(cmd_transfer_t *transfer);

/* A code of callbacks: the rest of the response is not needed. */

#define CMD_RECEIVE_ENOUGH      (-2)

/* Callbacks for the response, as in atls.h. */

int cmd_receive_status(void *data, int status, const char *reason);
int cmd_receive_header(void *data, const char *name, const char *value);
int cmd_receive_body(void *data, const void *bytes, size_t size);

/*
 * Ends the response.  The code is the result of the request; returns the exit
 * code.
 */

int cmd_receive_end(cmd_transfer_t *transfer, int code);

/* Whether the response is a failure for -f. */

int cmd_receive_failed(const cmd_transfer_t *transfer);

/* Whether the response is a redirect that is followed. */

int cmd_receive_redirect(const cmd_transfer_t *transfer);


#endif /* ATLS_CMD_RECEIVE_H_INCLUDED */
