
/*
 * The progress bar of a transfer, shown on a terminal after a delay.
 */


#ifndef ATLS_CMD_PROGRESS_H_INCLUDED
#define ATLS_CMD_PROGRESS_H_INCLUDED


#include <stdint.h>


typedef struct {
    int          enabled;
    int          shown;
    int          sending;               /* bytes are of the request */
    int64_t      began;
    int64_t      last;                  /* time of the last output */
    int64_t      total;                 /* -1: unknown */
    int64_t      bytes;
} cmd_progress_t;


void cmd_progress_begin(cmd_progress_t *progress, int enabled);

void cmd_progress_sent(cmd_progress_t *progress, int64_t bytes, int64_t total);
void cmd_progress_received(cmd_progress_t *progress, int64_t bytes,
    int64_t total);

/* Called periodically if no data are transferred. */

void cmd_progress_wait(cmd_progress_t *progress);

void cmd_progress_end(cmd_progress_t *progress);


#endif /* ATLS_CMD_PROGRESS_H_INCLUDED */
