
/*
 * -r and -C: parts of a response or of an upload.
 */


#ifndef ATLS_CMD_RANGE_H_INCLUDED
#define ATLS_CMD_RANGE_H_INCLUDED


#include "../base/headers.h"
#include "upload.h"


/*
 * The offset of -C: 0 if there is none; "-C -" is the size of the output file,
 * whose path may be NULL.
 */

int64_t cmd_range_offset(const cmd_options_t *options, const char *path);

/*
 * The value of Range, or of Content-Range for an upload, which may be NULL.
 * Returns NULL if there is none; the value must be freed.
 */

char *cmd_range_value(const cmd_options_t *options, int64_t offset,
    const cmd_upload_t *upload);

/* Whether Content-Range begins with this offset. */

int cmd_range_begins(const cmd_headers_t *headers, int64_t offset);


#endif /* ATLS_CMD_RANGE_H_INCLUDED */
