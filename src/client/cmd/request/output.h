
/* Output of responses: stdout, or a file created on first output. */


#ifndef ATLS_CMD_OUTPUT_H_INCLUDED
#define ATLS_CMD_OUTPUT_H_INCLUDED


#include <stddef.h>
#include <sys/types.h>


typedef struct {
    const char  *path;                  /* NULL: stdout */
    int          fd;                    /* -1: not open yet */
    int          append;
    off_t        start;                 /* size of the file when it was opened;
                                           -1: not a regular file */
    int          failed;
} cmd_output_t;


/* If path is "-" or NULL, output is written to stdout. */

void cmd_output_init(cmd_output_t *output, const char *path, int append);

/* Removes what was written to a file.  Returns an exit code. */

int cmd_output_restart(cmd_output_t *output);

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
