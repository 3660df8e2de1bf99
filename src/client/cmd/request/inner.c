
/*
 * Requests over ATLS, see inner.h.
 */


#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "../../lib/hex.h"
#include "../../lib/store.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../base/verbose.h"
#include "../options/client.h"
#include "inner.h"
#include "receive.h"
#include "report.h"


static int cmd_inner_client(cmd_inner_t *inner, const char *origin);
static atls_error_e cmd_inner_report(cmd_inner_t *inner,
    cmd_transfer_t *transfer);
static atls_error_e cmd_inner_send(cmd_inner_t *inner,
    cmd_transfer_t *transfer);
static int cmd_inner_status(void *data, int status, const char *reason);
static void cmd_inner_export(cmd_transfer_t *transfer);
static void cmd_inner_close(cmd_inner_t *inner);


int
cmd_inner_init(cmd_inner_t *inner, const cmd_options_t *options)
{
    memset(inner, 0, sizeof(cmd_inner_t));
    inner->options = options;

    return options->session_file
           ? cmd_client_store(&inner->store, options->session_file)
           : CMD_OK;
}


int
cmd_inner_perform(cmd_inner_t *inner, cmd_transfer_t *transfer)
{
    int           code;
    atls_error_e  rc;

    code = cmd_inner_client(inner, transfer->url.origin);
    if (code != CMD_OK) {
        return code;
    }

    transfer->client = inner->client;

    rc = inner->options->report ? cmd_inner_report(inner, transfer) : ATLS_OK;

    if (rc == ATLS_OK) {
        rc = cmd_inner_send(inner, transfer);
    }

    code = transfer->code != CMD_OK
           ? transfer->code : cmd_client_fail(inner->client, rc,
                                             transfer->status != 0);

    if (atls_get_transfer(inner->client, &transfer->info) == ATLS_OK) {
        cmd_transfer_count(transfer);
    }

    if (inner->options->verbose) {
        cmd_verbose_peers(inner->client);
    }

    if (code == CMD_OK && inner->options->export_label) {
        cmd_inner_export(transfer);

        if (!transfer->exported) {
            code = cmd_fail(CMD_TLS, "session closed, cannot export keying "
                                     "material");
        }
    }

    return code;
}


/* Creates a client unless there is one with this origin. */

static int
cmd_inner_client(cmd_inner_t *inner, const char *origin)
{
    if (inner->client && strcasecmp(inner->origin, origin) == 0) {
        return CMD_OK;
    }

    cmd_inner_close(inner);

    inner->origin = cmd_copy(origin, strlen(origin));

    return cmd_client_create(&inner->client, origin, inner->options,
                             inner->store, NULL);
}


/*
 * Opens the session before the request is sent, to know the outer certificate.
 */

static atls_error_e
cmd_inner_report(cmd_inner_t *inner, cmd_transfer_t *transfer)
{
    char               *value;
    atls_error_e        rc;
    atls_outer_info_t   info;

    rc = atls_connect(inner->client);

    if (rc == ATLS_OK) {
        rc = atls_get_outer(inner->client, &info);
    }

    if (rc == ATLS_OK) {
        value = cmd_report(&info);
        cmd_request_add(&transfer->request, CMD_REPORT_HEADER, value);
        free(value);
    }

    return rc;
}


static atls_error_e
cmd_inner_send(cmd_inner_t *inner, cmd_transfer_t *transfer)
{
    atls_request_t  request;

    memset(&request, 0, sizeof(atls_request_t));

    request.method = transfer->request.method;
    request.path = transfer->url.path;
    request.headers = transfer->request.headers;
    request.nheaders = transfer->request.nheaders;

    if (transfer->body) {
        request.body = ATLS_BODY_READ;
        request.read = cmd_transfer_read;
        request.rewind = cmd_transfer_rewind;
        request.length = transfer->upload.length;

        /* a pipe is sent as it is read */

        transfer->upload.flush = 1;
    }

    request.on_status = cmd_inner_status;
    request.on_header = cmd_receive_header;
    request.on_body = cmd_receive_body;
    request.on_wait = cmd_transfer_wait;
    request.data = transfer;

    return atls_perform(inner->client, &request);
}


static int
cmd_inner_status(void *data, int status, const char *reason)
{
    cmd_inner_export(data);

    return cmd_receive_status(data, status, reason);
}


/*
 * Exports keying material as soon as the session is open.  At the end of the
 * response, the session may be closed; when the response to early data begins,
 * the session may not be open yet.
 */

static void
cmd_inner_export(cmd_transfer_t *transfer)
{
    char                 *hex;
    size_t                size;
    unsigned char        *key;
    const cmd_options_t  *options = transfer->options;

    if (options->export_label == NULL || transfer->exported) {
        return;
    }

    size = options->export_size;
    key = cmd_alloc(size);
    hex = cmd_alloc(2 * size + 1);

    if (atls_exporter(transfer->client, options->export_label, "", 0, key,
                      size)
        == ATLS_OK)
    {
        atls_hex(hex, key, size);
        fprintf(stderr, "%s %s\n", options->export_label, hex);
        transfer->exported = 1;
    }

    OPENSSL_cleanse(key, size);
    OPENSSL_cleanse(hex, 2 * size);
    free(key);
    free(hex);
}


static void
cmd_inner_close(cmd_inner_t *inner)
{
    atls_close(inner->client);
    atls_client_free(inner->client);
    free(inner->origin);

    inner->client = NULL;
    inner->origin = NULL;
}


void
cmd_inner_done(cmd_inner_t *inner)
{
    cmd_inner_close(inner);
    atls_store_close(inner->store);
}
