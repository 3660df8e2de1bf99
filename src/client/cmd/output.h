
/* Output of responses: stdout, or a file created on first output. */


#ifndef ATLS_CMD_OUTPUT_H_INCLUDED
#define ATLS_CMD_OUTPUT_H_INCLUDED


#include <stddef.h>


typedef struct {
    const char  *path;                  /* NULL: stdout */
    int          fd;                    /* -1: not open yet */
    int          failed;
} cmd_output_t;


/* path: "-" is stdout, too. */

void cmd_output_init(cmd_output_t *output, const char *path);

/* These return an exit code; nothing is said of a pipe that was closed. */

int cmd_output_write(cmd_output_t *output, const void *bytes, size_t n);

/* A line of a header, with CRLF; on a terminal, without control characters. */

int cmd_output_line(cmd_output_t *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Makes a file, too, to which nothing was written. */

int cmd_output_finish(cmd_output_t *output);

/* For a caller that does not finish it. */

void cmd_output_close(cmd_output_t *output);


#endif /* ATLS_CMD_OUTPUT_H_INCLUDED */
