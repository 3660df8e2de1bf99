
/*
 * A URL of the command line, see transfer.h.
 */


#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "exitcode.h"
#include "range.h"
#include "receive.h"
#include "transfer.h"
#include "writeout.h"


static int cmd_transfer_files(cmd_transfer_t *transfer);
static const char *cmd_transfer_path(const cmd_transfer_t *transfer);


int
cmd_transfer_begin(cmd_transfer_t *transfer, const cmd_options_t *options,
    size_t n)
{
    int  code;

    memset(transfer, 0, sizeof(cmd_transfer_t));

    transfer->options = options;
    transfer->n = n;
    transfer->total = -1;
    transfer->began = atls_clock();
    transfer->deadline = options->max_time
                         ? transfer->began + options->max_time : 0;

    cmd_output_init(&transfer->output, NULL, 0);
    cmd_output_init(&transfer->dump, options->dump, n != 0);

    code = cmd_url_parse(&transfer->url, options->urls.items[n], options);

    if (code == CMD_OK) {
        code = cmd_upload_open(&transfer->upload, options);
    }

    if (code == CMD_OK) {
        transfer->body = transfer->upload.kind;
        code = cmd_transfer_files(transfer);
    }

    cmd_progress_begin(&transfer->progress,
                       isatty(STDERR_FILENO) && !options->silent
                       && !options->verbose
                       && (transfer->output.path || !isatty(STDOUT_FILENO)));

    return code;
}


static int
cmd_transfer_files(cmd_transfer_t *transfer)
{
    const char  *path;

    path = cmd_transfer_path(transfer);

    if (path && *path == '\0') {
        return cmd_fail(CMD_WRITE, "no file name in the URL");
    }

    transfer->offset = cmd_range_offset(transfer->options, path);

    cmd_output_init(&transfer->output, path, transfer->offset != 0);

    return transfer->upload.kind
           ? cmd_upload_skip(&transfer->upload, transfer->offset) : CMD_OK;
}


static const char *
cmd_transfer_path(const cmd_transfer_t *transfer)
{
    const cmd_list_t  *outputs = &transfer->options->outputs;

    if (transfer->n >= outputs->n) {
        return NULL;
    }

    return outputs->items[transfer->n] ? outputs->items[transfer->n]
                                       : transfer->url.name;
}


int
cmd_transfer_repeatable(const cmd_transfer_t *transfer)
{
    return cmd_upload_repeatable(&transfer->upload);
}


int
cmd_transfer_restart(cmd_transfer_t *transfer)
{
    int                   code;
    const cmd_options_t  *options = transfer->options;

    code = cmd_output_restart(&transfer->output);

    if (code == CMD_OK && cmd_upload_rewind(&transfer->upload) == -1) {
        code = cmd_fail(CMD_REWIND, "cannot read the request body again");
    }

    if (code != CMD_OK) {
        return code;
    }

    transfer->body = transfer->upload.kind;
    transfer->redirects = 0;
    transfer->deadline = options->max_time ? atls_clock() + options->max_time
                                           : 0;

    /* a redirect may have changed it; it was parsed before */

    cmd_url_free(&transfer->url);

    return cmd_url_parse(&transfer->url, options->urls.items[transfer->n],
                         options);
}


int
cmd_transfer_request(cmd_transfer_t *transfer)
{
    char                 *range;
    const cmd_options_t  *options = transfer->options;

    range = cmd_range_value(options, transfer->offset,
                            transfer->body ? &transfer->upload : NULL);

    cmd_request_free(&transfer->request);
    cmd_request_make(&transfer->request, options, &transfer->url,
                     transfer->body, range);
    free(range);

    return cmd_request_check(&transfer->request, &transfer->url);
}


int
cmd_transfer_end(cmd_transfer_t *transfer, int code)
{
    int                   finished;
    const cmd_options_t  *options = transfer->options;

    cmd_progress_end(&transfer->progress);

    finished = CMD_OK;

    if (code == CMD_OK || (code == CMD_STATUS && options->fail_with_body)) {
        finished = cmd_output_finish(&transfer->output);
    }

    if (options->dump && finished == CMD_OK) {
        finished = cmd_output_finish(&transfer->dump);
    }

    if (options->write_out && !transfer->output.failed) {
        cmd_writeout(transfer);
    }

    return code == CMD_OK ? finished : code;
}


void
cmd_transfer_free(cmd_transfer_t *transfer)
{
    cmd_output_close(&transfer->output);
    cmd_output_close(&transfer->dump);
    cmd_upload_close(&transfer->upload);
    cmd_request_free(&transfer->request);
    cmd_headers_free(&transfer->headers);
    cmd_url_free(&transfer->url);
}


long
cmd_transfer_read(void *data, void *buf, size_t size)
{
    cmd_transfer_t  *transfer = data;

    long  n;

    n = cmd_upload_read(&transfer->upload, buf, size, transfer->deadline,
                        &transfer->code);

    if (n > 0) {
        cmd_progress_sent(&transfer->progress, transfer->upload.sent,
                          transfer->upload.length);
    }

    return n;
}


int
cmd_transfer_rewind(void *data)
{
    cmd_transfer_t  *transfer = data;

    return cmd_upload_rewind(&transfer->upload);
}


int
cmd_transfer_wait(void *data)
{
    cmd_transfer_t  *transfer = data;

    cmd_progress_wait(&transfer->progress);

    if (transfer->deadline && atls_clock() > transfer->deadline) {
        transfer->code = cmd_fail(CMD_TIMEOUT, "maximum time exceeded");
    }

    return transfer->code != CMD_OK;
}
