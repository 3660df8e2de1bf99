
/* The progress bar of -#, as in curl. */


#ifndef ATLS_CMD_BAR_H_INCLUDED
#define ATLS_CMD_BAR_H_INCLUDED


#include <stdint.h>


typedef struct {
    int          width;                 /* of the terminal, in columns */
    unsigned     calls;
    int64_t      last;                  /* time of the last output */
    int64_t      bytes;                 /* at that time */
    int          position;              /* if the total is unknown */
    int          step;
} cmd_bar_t;


void cmd_bar_begin(cmd_bar_t *bar);

/* Called with the current values; total is 0 if it is unknown. */

void cmd_bar_update(cmd_bar_t *bar, int64_t bytes, int64_t total);

void cmd_bar_end(cmd_bar_t *bar);


#endif /* ATLS_CMD_BAR_H_INCLUDED */
