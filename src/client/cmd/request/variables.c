
/*
 * The variables of -w, see variables.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../base/exitcode.h"
#include "receive.h"
#include "variables.h"


static void cmd_variables_request(cmd_variables_t *variables,
    const cmd_transfer_t *transfer);
static void cmd_variables_response(cmd_variables_t *variables,
    const cmd_transfer_t *transfer);
static void cmd_variables_connection(cmd_variables_t *variables,
    const cmd_transfer_t *transfer);
static int64_t cmd_variables_speed(int64_t bytes, int64_t time);


void
cmd_variables_fill(cmd_variables_t *variables, const cmd_transfer_t *transfer,
    int code)
{
    memset(variables, 0, sizeof(cmd_variables_t));

    variables->total = transfer->ended - transfer->began;
    variables->code = code;

    if (code != CMD_OK) {
        variables->error = cmd_fail_text();
    }

    cmd_variables_request(variables, transfer);
    cmd_variables_response(variables, transfer);
    cmd_variables_connection(variables, transfer);
}


static void
cmd_variables_request(cmd_variables_t *variables,
    const cmd_transfer_t *transfer)
{
    variables->url = transfer->requested;
    variables->url_effective = transfer->url.text;
    variables->number = (int64_t) transfer->n;
    variables->scheme = "HTTPS";
    variables->method = transfer->request.method;
    variables->request_size = transfer->request_size;
    variables->sent = transfer->body ? transfer->upload.sent : 0;
    variables->send_speed = cmd_variables_speed(variables->sent,
                                                variables->total);
    variables->redirects = transfer->redirects;

    if (transfer->redirects) {
        variables->redirect = transfer->request_began - transfer->began;
    }
}


static void
cmd_variables_response(cmd_variables_t *variables,
    const cmd_transfer_t *transfer)
{
    variables->status = transfer->status;
    variables->http_version = transfer->status ? "1.1" : "0";
    variables->headers = (int64_t) transfer->headers.n;
    variables->content_type = cmd_headers_get(&transfer->headers,
                                              "Content-Type");
    variables->header_size = transfer->header_size;
    variables->received = transfer->skip ? 0 : transfer->received;
    variables->receive_speed = cmd_variables_speed(variables->received,
                                                   variables->total);
    variables->file = transfer->output.path;

    if (transfer->status / 100 == 3 && !transfer->options->location) {
        variables->redirect_url = cmd_url_absolute(&transfer->url,
                                     cmd_headers_get(&transfer->headers,
                                                     "Location"));
    }

    if (transfer->status) {
        variables->response = transfer->response_began - transfer->began;
    }
}


/* The outer connection, and the inner session. */

static void
cmd_variables_connection(cmd_variables_t *variables,
    const cmd_transfer_t *transfer)
{
    int64_t                      offset;
    atls_session_info_t          session;
    const atls_transfer_info_t  *info = &transfer->info;

    variables->atls = transfer->client ? "on" : "off";
    variables->local_ip = info->local_ip;
    variables->local_port = info->local_port;
    variables->remote_ip = info->remote_ip;
    variables->remote_port = info->remote_port;
    variables->connect_status = info->connect_status;
    variables->connects = transfer->connects;

    offset = transfer->request_began - transfer->began;

    variables->name_lookup = info->name_lookup ? offset + info->name_lookup
                                               : 0;
    variables->connect = info->connect ? offset + info->connect : 0;
    variables->handshake = info->handshake ? offset + info->handshake : 0;

    if (transfer->request_size) {
        variables->request = offset + info->handshake;
    }

    if (transfer->client
        && atls_get_session(transfer->client, &session) == ATLS_OK
        && session.verify_result > 0)
    {
        variables->verify_result = session.verify_result;
    }
}


static int64_t
cmd_variables_speed(int64_t bytes, int64_t time)
{
    return time > 0 ? (int64_t) ((double) bytes * 1000000 / (double) time) : 0;
}


void
cmd_variables_free(cmd_variables_t *variables)
{
    free(variables->redirect_url);
}
