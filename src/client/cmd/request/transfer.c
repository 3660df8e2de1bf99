
/*
 * A URL of the command line, see transfer.h.
 */


#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/clock.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "range.h"
#include "receive.h"
#include "transfer.h"
#include "writeout.h"


static const char *cmd_transfer_file(const cmd_transfer_t *transfer);
static void cmd_transfer_start(cmd_transfer_t *transfer);
static int cmd_transfer_files(cmd_transfer_t *transfer);
static const char *cmd_transfer_path(const cmd_transfer_t *transfer);
static cmd_progress_e cmd_transfer_progress(const cmd_transfer_t *transfer);


int
cmd_transfer_begin(cmd_transfer_t *transfer, const cmd_options_t *options,
    cmd_jar_t *jar, size_t n)
{
    int  code;

    memset(transfer, 0, sizeof(cmd_transfer_t));

    transfer->options = options;
    transfer->jar = jar;
    transfer->n = n;
    transfer->file = cmd_transfer_file(transfer);
    transfer->total = -1;

    cmd_transfer_start(transfer);

    cmd_output_init(&transfer->output, NULL, 0);
    cmd_output_init(&transfer->dump, options->dump, n != 0);

    code = cmd_url_parse(&transfer->url, options->urls.items[n],
                         transfer->file, options);

    if (code == CMD_OK) {
        transfer->requested = cmd_format("%s", transfer->url.changed
                                               ? transfer->url.text
                                               : options->urls.items[n]);
        code = cmd_upload_open(&transfer->upload, options, transfer->file);
    }

    if (code == CMD_OK) {
        transfer->body = transfer->upload.kind;
        code = cmd_transfer_files(transfer);
    }

    cmd_progress_begin(&transfer->progress, cmd_transfer_progress(transfer),
                       transfer->offset);

    return code;
}


static const char *
cmd_transfer_file(const cmd_transfer_t *transfer)
{
    const cmd_list_t  *uploads = &transfer->options->uploads;

    return transfer->n < uploads->n && *uploads->items[transfer->n]
           ? uploads->items[transfer->n] : NULL;
}


static void
cmd_transfer_start(cmd_transfer_t *transfer)
{
    int64_t  time = transfer->options->max_time;

    transfer->deadline = time ? atls_clock() + time : 0;
    transfer->began = atls_clock_us();
    transfer->connects = 0;
    transfer->request_size = 0;
    transfer->header_size = 0;
}


static int
cmd_transfer_files(cmd_transfer_t *transfer)
{
    const char  *path;

    path = cmd_transfer_path(transfer);

    if (path && *path == '\0') {
        return cmd_fail(CMD_WRITE, "no file name in the URL");
    }

    transfer->offset = cmd_range_offset(transfer->options,
                                        transfer->file ? NULL : path);

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


/* Not if the response is printed on a terminal. */

static cmd_progress_e
cmd_transfer_progress(const cmd_transfer_t *transfer)
{
    const cmd_options_t  *options = transfer->options;

    if (options->silent || options->no_meter
        || (transfer->output.path == NULL && isatty(STDOUT_FILENO)))
    {
        return CMD_PROGRESS_NONE;
    }

    return options->progress_bar
           ? CMD_PROGRESS_BAR
           : isatty(STDERR_FILENO) && !options->verbose
           ? CMD_PROGRESS_METER
           : CMD_PROGRESS_NONE;
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
    cmd_transfer_start(transfer);

    /* a redirect may have changed it; it was parsed before */

    cmd_url_free(&transfer->url);

    return cmd_url_parse(&transfer->url, options->urls.items[transfer->n],
                         transfer->file, options);
}


int
cmd_transfer_request(cmd_transfer_t *transfer)
{
    char                 *range, *cookies;
    const cmd_options_t  *options = transfer->options;

    cookies = cmd_jar_value(transfer->jar, &transfer->url);
    /* as in curl, forms have no range */

    range = transfer->body == CMD_UPLOAD_FORM ? NULL
            : cmd_range_value(options, transfer->offset,
                              transfer->body ? &transfer->upload : NULL);

    cmd_request_free(&transfer->request);
    cmd_request_make(&transfer->request, options, &transfer->url,
                     transfer->body, range, cookies);
    free(range);
    free(cookies);

    transfer->request_began = atls_clock_us();

    return cmd_request_check(&transfer->request, &transfer->url);
}


void
cmd_transfer_count(cmd_transfer_t *transfer)
{
    transfer->connects += transfer->info.connections;
    transfer->request_size += (int64_t) transfer->info.header_size;

    if (transfer->body == CMD_UPLOAD_DATA) {
        transfer->request_size += transfer->upload.sent;
    }
}


int
cmd_transfer_end(cmd_transfer_t *transfer, int code)
{
    int                   finished;
    const cmd_options_t  *options = transfer->options;

    transfer->ended = atls_clock_us();

    cmd_progress_end(&transfer->progress);

    finished = CMD_OK;

    if (code == CMD_OK || (code == CMD_STATUS && options->fail_with_body)) {
        finished = cmd_output_finish(&transfer->output);
    }

    if (options->dump && finished == CMD_OK) {
        finished = cmd_output_finish(&transfer->dump);
    }

    if (code == CMD_OK) {
        code = finished;
    }

    if (options->write_out && !transfer->output.failed) {
        cmd_writeout(transfer, code);
    }

    return code;
}


void
cmd_transfer_free(cmd_transfer_t *transfer)
{
    cmd_output_close(&transfer->output);
    cmd_output_close(&transfer->dump);
    cmd_upload_close(&transfer->upload);
    cmd_request_free(&transfer->request);
    cmd_headers_free(&transfer->headers);
    cmd_decode_free(&transfer->decode);
    cmd_url_free(&transfer->url);
    free(transfer->requested);
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
