
/*
 * The input of -T: a file or stdin.
 */


#ifndef ATLS_CMD_UPLOAD_H_INCLUDED
#define ATLS_CMD_UPLOAD_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


typedef struct {
    const char  *path;                  /* "-": stdin */
    int          fd;                    /* -1: no input */
    off_t        start;                 /* file offset; -1: not seekable */
    int64_t      length;                /* may be ATLS_LENGTH_UNKNOWN */
    int64_t      sent;
} cmd_upload_t;


/* Returns an exit code; path may be NULL. */

int cmd_upload_open(cmd_upload_t *upload, const char *path);

/*
 * Returns the number of bytes, 0 at the end, or -1 on error or at the deadline
 * (0: none), with an exit code in *code.
 */

long cmd_upload_read(cmd_upload_t *upload, void *buf, size_t size,
    int64_t deadline, int *code);

/* Rewinds the input; returns 0 or -1. */

int cmd_upload_rewind(cmd_upload_t *upload);

void cmd_upload_close(cmd_upload_t *upload);


#endif /* ATLS_CMD_UPLOAD_H_INCLUDED */
