
/*
 * A request and its response, see transfer.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "exitcode.h"
#include "transfer.h"
#include "writeout.h"


#define CMD_DISCARD     65536           /* bytes of an error response to read */


static const char *cmd_transfer_output(const cmd_options_t *options, size_t n,
    const cmd_url_t *url);
static int cmd_transfer_failed(const cmd_transfer_t *transfer);
static int cmd_transfer_header_end(cmd_transfer_t *transfer);


int
cmd_transfer_begin(cmd_transfer_t *transfer, const cmd_options_t *options,
    size_t n)
{
    int  code;

    memset(transfer, 0, sizeof(cmd_transfer_t));

    transfer->options = options;
    transfer->total = -1;
    transfer->output.fd = -1;
    transfer->began = atls_clock();
    transfer->deadline = options->max_time
                         ? transfer->began + options->max_time : 0;

    code = cmd_url_parse(&transfer->url, options->urls.items[n], options);
    if (code != CMD_OK) {
        return code;
    }

    code = cmd_upload_open(&transfer->upload, options);
    if (code != CMD_OK) {
        return code;
    }

    cmd_request_make(&transfer->request, options, &transfer->url,
                     transfer->upload.kind);

    code = cmd_request_check(&transfer->request, &transfer->url);
    if (code != CMD_OK) {
        return code;
    }

    cmd_output_init(&transfer->output,
                    cmd_transfer_output(options, n, &transfer->url));

    if (transfer->output.path && *transfer->output.path == '\0') {
        return cmd_fail(CMD_WRITE, "no file name in the URL");
    }

    cmd_progress_begin(&transfer->progress,
                       isatty(STDERR_FILENO) && !options->silent
                       && !options->verbose
                       && (transfer->output.path || !isatty(STDOUT_FILENO)));

    return CMD_OK;
}


static const char *
cmd_transfer_output(const cmd_options_t *options, size_t n,
    const cmd_url_t *url)
{
    if (n >= options->outputs.n) {
        return NULL;
    }

    return options->outputs.items[n] ? options->outputs.items[n] : url->name;
}


int
cmd_transfer_end(cmd_transfer_t *transfer, int code)
{
    cmd_progress_end(&transfer->progress);

    if (code == CMD_OK && cmd_transfer_failed(transfer)) {
        code = cmd_fail(CMD_STATUS, "the service returned %d",
                        transfer->status);
    }

    if (code == CMD_OK) {
        code = cmd_transfer_header_end(transfer);
    }

    if (code == CMD_OK) {
        code = cmd_output_finish(&transfer->output);
    }

    if (transfer->options->write_out && !transfer->output.failed) {
        cmd_writeout(transfer);
    }

    return code;
}


void
cmd_transfer_free(cmd_transfer_t *transfer)
{
    cmd_output_close(&transfer->output);
    cmd_upload_close(&transfer->upload);
    cmd_request_free(&transfer->request);
    cmd_url_free(&transfer->url);
}


static int
cmd_transfer_failed(const cmd_transfer_t *transfer)
{
    return transfer->options->fail && transfer->status >= 400;
}


int
cmd_transfer_status(void *data, int status, const char *reason)
{
    cmd_transfer_t  *transfer = data;

    transfer->status = status;
    transfer->in_header = (transfer->options->include
                           || transfer->options->head)
                          && !cmd_transfer_failed(transfer);

    if (transfer->in_header) {
        transfer->code = cmd_output_line(&transfer->output,
                                         "HTTP/1.1 %d%s%s", status,
                                         *reason ? " " : "", reason);
    }

    return transfer->code != CMD_OK;
}


int
cmd_transfer_header(void *data, const char *name, const char *value)
{
    cmd_transfer_t  *transfer = data;

    if (strcasecmp(name, "Content-Length") == 0) {
        transfer->total = strtoll(value, NULL, 10);
    }

    if (transfer->in_header) {
        transfer->code = cmd_output_line(&transfer->output, "%s: %s", name,
                                         value);
    }

    return transfer->code != CMD_OK;
}


static int
cmd_transfer_header_end(cmd_transfer_t *transfer)
{
    if (!transfer->in_header) {
        return CMD_OK;
    }

    transfer->in_header = 0;

    return cmd_output_write(&transfer->output, "\r\n", 2);
}


int
cmd_transfer_body(void *data, const void *bytes, size_t size)
{
    cmd_transfer_t  *transfer = data;

    transfer->received += (int64_t) size;

    if (cmd_transfer_failed(transfer)) {

        if (transfer->received > CMD_DISCARD) {
            transfer->code = cmd_fail(CMD_STATUS, "the service returned %d",
                                      transfer->status);
        }

        return transfer->code != CMD_OK;
    }

    transfer->code = cmd_transfer_header_end(transfer);

    if (transfer->code == CMD_OK) {
        transfer->code = cmd_output_write(&transfer->output, bytes, size);
    }

    cmd_progress_received(&transfer->progress, transfer->received,
                          transfer->total);

    return transfer->code != CMD_OK;
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
