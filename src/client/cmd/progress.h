
/*
 * The bar of a transfer that takes longer than a moment, on a terminal.
 */


#ifndef ATLS_CMD_PROGRESS_H_INCLUDED
#define ATLS_CMD_PROGRESS_H_INCLUDED


#include <stdint.h>


typedef struct {
    int          enabled;
    int          shown;
    int          sending;               /* is what the bytes are of */
    int64_t      began;
    int64_t      last;                  /* when it was shown */
    int64_t      total;                 /* -1: not known */
    int64_t      bytes;
} cmd_progress_t;


void cmd_progress_begin(cmd_progress_t *progress, int enabled);

void cmd_progress_sent(cmd_progress_t *progress, int64_t bytes, int64_t total);
void cmd_progress_received(cmd_progress_t *progress, int64_t bytes,
    int64_t total);

/* For when there is nothing new. */

void cmd_progress_wait(cmd_progress_t *progress);

void cmd_progress_end(cmd_progress_t *progress);


#endif /* ATLS_CMD_PROGRESS_H_INCLUDED */
