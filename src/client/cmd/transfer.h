
/*
 * A request and its answer: what both ways to the service have in common.
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
    int64_t               deadline;     /* 0: none */

    int                   code;         /* why a callback has ended it; it has
                                           said so */
    atls_client_t        *client;       /* NULL: it went by plain HTTPS */
    int                   exported;     /* what --export asks for */
    int                   status;       /* 0: none came yet */
    int                   in_header;    /* that is shown */
    int64_t               received;     /* of the body */
    int64_t               total;        /* -1: not known */
} cmd_transfer_t;


/*
 * Both return an exit code; the transfer is to be freed.  code: how it went;
 * what was to be said of that has been said.
 */

int cmd_transfer_begin(cmd_transfer_t *transfer, const cmd_options_t *options,
    size_t n);
int cmd_transfer_end(cmd_transfer_t *transfer, int code);

void cmd_transfer_free(cmd_transfer_t *transfer);


/* Callbacks of requests, as in atls.h. */

int cmd_transfer_status(void *data, int status, const char *reason);
int cmd_transfer_header(void *data, const char *name, const char *value);
int cmd_transfer_body(void *data, const void *bytes, size_t size);
int cmd_transfer_wait(void *data);
long cmd_transfer_read(void *data, void *buf, size_t size);
int cmd_transfer_rewind(void *data);


#endif /* ATLS_CMD_TRANSFER_H_INCLUDED */
