
/*
 * The file of -T, or stdin.
 */


#ifndef ATLS_CMD_UPLOAD_H_INCLUDED
#define ATLS_CMD_UPLOAD_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


typedef struct {
    const char  *path;                  /* "-": stdin */
    int          fd;                    /* -1: there is none */
    off_t        start;                 /* -1: it can be read only once */
    int64_t      length;                /* ATLS_LENGTH_UNKNOWN */
    int64_t      sent;
} cmd_upload_t;


/* Returns an exit code; path may be NULL. */

int cmd_upload_open(cmd_upload_t *upload, const char *path);

/*
 * Returns how many bytes there are, 0 at the end, -1 if it fails, or if
 * nothing comes until the deadline (0: none); *code has the exit code then.
 */

long cmd_upload_read(cmd_upload_t *upload, void *buf, size_t size,
    int64_t deadline, int *code);

/* Goes back; returns 0 or -1. */

int cmd_upload_rewind(cmd_upload_t *upload);

void cmd_upload_close(cmd_upload_t *upload);


#endif /* ATLS_CMD_UPLOAD_H_INCLUDED */
