
/*
 * The progress of a transfer: a line that is shown on a terminal after a delay,
 * or the bar of -#.
 */


#ifndef ATLS_CMD_PROGRESS_H_INCLUDED
#define ATLS_CMD_PROGRESS_H_INCLUDED


#include <stdint.h>

#include "bar.h"


typedef enum {
    CMD_PROGRESS_NONE,
    CMD_PROGRESS_METER,
    CMD_PROGRESS_BAR
} cmd_progress_e;

typedef struct {
    int64_t      bytes;
    int64_t      total;                 /* -1: unknown */
} cmd_amount_t;

typedef struct {
    cmd_progress_e   kind;
    cmd_amount_t     request;
    cmd_amount_t     response;
    int64_t          offset;            /* bytes that are not transferred */
    cmd_bar_t        bar;

    /* of the line */

    int              shown;
    int              sending;
    int64_t          began;
    int64_t          last;              /* time of the last output */
} cmd_progress_t;


void cmd_progress_begin(cmd_progress_t *progress, cmd_progress_e kind,
    int64_t offset);

void cmd_progress_sent(cmd_progress_t *progress, int64_t bytes, int64_t total);
void cmd_progress_received(cmd_progress_t *progress, int64_t bytes,
    int64_t total);

/* Called periodically if no data are transferred. */

void cmd_progress_wait(cmd_progress_t *progress);

void cmd_progress_end(cmd_progress_t *progress);


#endif /* ATLS_CMD_PROGRESS_H_INCLUDED */
