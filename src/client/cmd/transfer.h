
/*
 * A request and its response, for ATLS and for plain HTTPS.
 */


#ifndef ATLS_CMD_TRANSFER_H_INCLUDED
#define ATLS_CMD_TRANSFER_H_INCLUDED


#include "options.h"
#include "output.h"
#include "progress.h"
#include "request.h"
#include "upload.h"
#include "url.h"


typedef struct {
    const cmd_options_t  *options;
    cmd_url_t             url;
    cmd_request_t         request;
    cmd_upload_t          upload;
    cmd_output_t          output;
    cmd_progress_t        progress;

    int64_t               began;
    int64_t               deadline;     /* by atls_clock(); 0: none */

    int                   code;         /* exit code if a callback aborted the
                                           transfer, after its message */
    atls_client_t        *client;       /* NULL: plain HTTPS was used */
    int                   exported;     /* --export is done */
    int                   status;       /* 0: not received yet */
    int                   in_header;    /* in a header that is printed */
    int64_t               received;     /* bytes of the body */
    int64_t               total;        /* -1: unknown */
} cmd_transfer_t;


/*
 * Return an exit code; the transfer must be freed in any case.  The code passed
 * to cmd_transfer_end() is the result of the request; if it is an error, its
 * message was already printed.
 */

int cmd_transfer_begin(cmd_transfer_t *transfer, const cmd_options_t *options,
    size_t n);
int cmd_transfer_end(cmd_transfer_t *transfer, int code);

void cmd_transfer_free(cmd_transfer_t *transfer);


/* Callbacks as in atls.h. */

int cmd_transfer_status(void *data, int status, const char *reason);
int cmd_transfer_header(void *data, const char *name, const char *value);
int cmd_transfer_body(void *data, const void *bytes, size_t size);
int cmd_transfer_wait(void *data);
long cmd_transfer_read(void *data, void *buf, size_t size);
int cmd_transfer_rewind(void *data);


#endif /* ATLS_CMD_TRANSFER_H_INCLUDED */
