
/*
 * The response to a request, see receive.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/clock.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "range.h"
#include "receive.h"


#define CMD_DISCARD     65536           /* bytes of a body, which is not used,
                                           to read */


static int cmd_receive_line(cmd_transfer_t *transfer, const char *line);
static int cmd_receive_header_end(cmd_transfer_t *transfer);
static int cmd_receive_output(void *data, const void *bytes, size_t size);
static int cmd_receive_resume(cmd_transfer_t *transfer);
static int cmd_receive_discard(const cmd_transfer_t *transfer);


void
cmd_receive_begin(cmd_transfer_t *transfer)
{
    cmd_headers_free(&transfer->headers);
    cmd_decode_free(&transfer->decode);
    memset(&transfer->info, 0, sizeof(atls_transfer_info_t));

    transfer->code = CMD_OK;
    transfer->status = 0;
    transfer->in_header = 0;
    transfer->skip = 0;
    transfer->received = 0;
    transfer->total = -1;
}


int
cmd_receive_status(void *data, int status, const char *reason)
{
    cmd_transfer_t  *transfer = data;

    char                 *line;
    const cmd_options_t  *options = transfer->options;

    transfer->response_began = atls_clock_us();
    transfer->status = status;
    transfer->in_header = 1;
    transfer->print = (options->include || options->head)
                      && (!cmd_receive_failed(transfer)
                          || options->fail_with_body);

    line = cmd_format("HTTP/1.1 %d%s%s", status, *reason ? " " : "", reason);
    transfer->code = cmd_receive_line(transfer, line);
    free(line);

    return transfer->code != CMD_OK;
}


int
cmd_receive_header(void *data, const char *name, const char *value)
{
    cmd_transfer_t  *transfer = data;

    char  *line;

    cmd_headers_add(&transfer->headers, name, value);

    if (strcasecmp(name, "Content-Length") == 0) {
        transfer->total = strtoll(value, NULL, 10);

    } else if (strcasecmp(name, "Set-Cookie") == 0) {
        cmd_jar_receive(transfer->jar, &transfer->url, value);

    } else if (strcasecmp(name, "Content-Encoding") == 0
               && transfer->options->compressed)
    {
        cmd_decode_add(&transfer->decode, value);
    }

    line = cmd_format("%s: %s", name, value);
    transfer->code = cmd_receive_line(transfer, line);
    free(line);

    return transfer->code != CMD_OK;
}


static int
cmd_receive_line(cmd_transfer_t *transfer, const char *line)
{
    int  code;

    transfer->header_size += (int64_t) strlen(line) + 2;

    code = transfer->options->dump ? cmd_output_line(&transfer->dump, "%s",
                                                     line)
                                   : CMD_OK;

    return transfer->print && code == CMD_OK
           ? cmd_output_line(&transfer->output, "%s", line) : code;
}


/* Called once, before the body or at its end. */

static int
cmd_receive_header_end(cmd_transfer_t *transfer)
{
    int  code;

    if (!transfer->in_header) {
        return CMD_OK;
    }

    transfer->in_header = 0;

    code = cmd_receive_line(transfer, "");

    transfer->skip = cmd_receive_redirect(transfer)
                     || (cmd_receive_failed(transfer)
                         && !transfer->options->fail_with_body);

    return code;
}


int
cmd_receive_body(void *data, const void *bytes, size_t size)
{
    cmd_transfer_t  *transfer = data;

    int  first;

    first = transfer->received == 0;
    transfer->received += (int64_t) size;

    transfer->code = cmd_receive_header_end(transfer);

    if (transfer->code == CMD_OK && first && !transfer->skip) {
        transfer->code = cmd_receive_resume(transfer);
    }

    if (transfer->code == CMD_OK) {
        transfer->code = transfer->skip
                         ? cmd_receive_discard(transfer)
                         : cmd_decode(&transfer->decode, bytes, size,
                                      cmd_receive_output, transfer);
    }

    cmd_progress_received(&transfer->progress, transfer->received,
                          transfer->total);

    return transfer->code != CMD_OK;
}


static int
cmd_receive_output(void *data, const void *bytes, size_t size)
{
    cmd_transfer_t  *transfer = data;

    return cmd_output_write(&transfer->output, bytes, size);
}


/* -C: the body must be the rest of the file. */

static int
cmd_receive_resume(cmd_transfer_t *transfer)
{
    if (transfer->offset == 0 || transfer->body) {
        return CMD_OK;
    }

    /* the whole file exists already */

    if (transfer->status == 416) {
        transfer->skip = 1;
        return CMD_OK;
    }

    if (cmd_range_begins(&transfer->headers, transfer->offset)) {
        return CMD_OK;
    }

    return transfer->total == transfer->offset
           ? CMD_RECEIVE_ENOUGH
           : cmd_fail(CMD_RANGE, "the service does not support ranges, cannot "
                                 "resume");
}


/* The rest of a long body is not read. */

static int
cmd_receive_discard(const cmd_transfer_t *transfer)
{
    return transfer->received > CMD_DISCARD ? CMD_RECEIVE_ENOUGH : CMD_OK;
}


int
cmd_receive_end(cmd_transfer_t *transfer, int code)
{
    if (code == CMD_RECEIVE_ENOUGH) {
        code = CMD_OK;
    }

    if (code == CMD_OK) {
        code = cmd_receive_header_end(transfer);
    }

    if (code == CMD_OK && !transfer->skip) {
        code = cmd_decode_end(&transfer->decode);
    }

    return code == CMD_OK && cmd_receive_failed(transfer)
           ? cmd_fail(CMD_STATUS, "the service returned %d", transfer->status)
           : code;
}


int
cmd_receive_failed(const cmd_transfer_t *transfer)
{
    const cmd_options_t  *options = transfer->options;

    return (options->fail || options->fail_with_body)
           && transfer->status >= 400;
}


int
cmd_receive_redirect(const cmd_transfer_t *transfer)
{
    const char  *location;

    location = cmd_headers_get(&transfer->headers, "Location");

    return transfer->options->location && transfer->status / 100 == 3
           && location && *location;
}
