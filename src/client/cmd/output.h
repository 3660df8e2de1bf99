
/* Output of responses: stdout, or a file created on first output. */


#ifndef ATLS_CMD_OUTPUT_H_INCLUDED
#define ATLS_CMD_OUTPUT_H_INCLUDED


#include <stddef.h>


typedef struct {
    const char  *path;                  /* NULL: stdout */
    int          fd;                    /* -1: not open yet */
    int          failed;
} cmd_output_t;


/* If path is "-" or NULL, output is written to stdout. */

void cmd_output_init(cmd_output_t *output, const char *path);

/*
 * Return an exit code.  If the output is a closed pipe, no message is printed.
 */

int cmd_output_write(cmd_output_t *output, const void *bytes, size_t n);

/*
 * Writes a header line with CRLF.  On a terminal, control characters are
 * replaced.
 */

int cmd_output_line(cmd_output_t *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Closes the output; creates an empty file if nothing was written. */

int cmd_output_finish(cmd_output_t *output);

/* Closes the output on error. */

void cmd_output_close(cmd_output_t *output);


#endif /* ATLS_CMD_OUTPUT_H_INCLUDED */
