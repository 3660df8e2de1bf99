
/*
 * The request body: the data of -d, the form of -F, or the file of -T, which
 * may be stdin.
 */


#ifndef ATLS_CMD_UPLOAD_H_INCLUDED
#define ATLS_CMD_UPLOAD_H_INCLUDED


#include <sys/types.h>

#include "../options/options.h"


typedef enum {
    CMD_UPLOAD_NONE = 0,
    CMD_UPLOAD_DATA,
    CMD_UPLOAD_FORM,
    CMD_UPLOAD_FILE
} cmd_upload_e;


typedef struct {
    cmd_upload_e  kind;
    int64_t       length;               /* may be ATLS_LENGTH_UNKNOWN */
    int64_t       sent;
    unsigned      flush:1;              /* reading may return ATLS_READ_FLUSH */
    unsigned      waiting:1;            /* something may have to be flushed */

    const char   *data;
    cmd_form_t   *form;
    const char   *type;                 /* see form.h */

    const char   *path;                 /* "-": stdin */
    int           fd;
    off_t         start;                /* file offset; -1: not seekable */
} cmd_upload_t;


/*
 * Selects the body: a file, which may be NULL, or by the options, which must
 * stay valid as long as the body.  Returns an exit code; the body must be
 * closed in any case.
 */

int cmd_upload_open(cmd_upload_t *upload, const cmd_options_t *options,
    const char *file);

/*
 * Returns the number of bytes, 0 at the end, or -1 on error or at the deadline
 * (0: none), with an exit code in *code; or ATLS_READ_FLUSH, see atls.h.
 */

long cmd_upload_read(cmd_upload_t *upload, void *buf, size_t size,
    int64_t deadline, int *code);

/* Skips the first bytes.  Returns an exit code. */

int cmd_upload_skip(cmd_upload_t *upload, int64_t n);

/* Rewinds the body; returns 0 or -1.  Whether this is possible. */

int cmd_upload_rewind(cmd_upload_t *upload);
int cmd_upload_repeatable(const cmd_upload_t *upload);

void cmd_upload_close(cmd_upload_t *upload);


#endif /* ATLS_CMD_UPLOAD_H_INCLUDED */
