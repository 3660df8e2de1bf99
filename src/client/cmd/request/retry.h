
/* --retry: transient errors. */


#ifndef ATLS_CMD_RETRY_H_INCLUDED
#define ATLS_CMD_RETRY_H_INCLUDED


#include "transfer.h"


typedef struct {
    unsigned     left;
    int64_t      began;                 /* by atls_clock() */
    int64_t      delay;                 /* milliseconds */
} cmd_retry_t;


void cmd_retry_init(cmd_retry_t *retry, const cmd_options_t *options);

/*
 * Whether the requests are to be sent again, after their result; waits before
 * that.
 */

int cmd_retry(cmd_retry_t *retry, const cmd_transfer_t *transfer, int code);


#endif /* ATLS_CMD_RETRY_H_INCLUDED */
