
/*
 * The way through ATLS, see inner.h.
 */


#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "exitcode.h"
#include "inner.h"
#include "report.h"
#include "util.h"
#include "verbose.h"


static int cmd_inner_client(cmd_inner_t *inner, const char *origin);
static atls_error_e cmd_inner_strings(const cmd_inner_t *inner);
static atls_error_e cmd_inner_numbers(const cmd_inner_t *inner);
static void cmd_inner_close(cmd_inner_t *inner);
static atls_error_e cmd_inner_report(cmd_inner_t *inner,
    cmd_transfer_t *transfer);
static atls_error_e cmd_inner_send(cmd_inner_t *inner,
    cmd_transfer_t *transfer);
static int cmd_inner_status(void *data, int status, const char *reason);
static void cmd_inner_export(cmd_transfer_t *transfer);
static int cmd_inner_fail(cmd_inner_t *inner, atls_error_e error,
    int answered);


int
cmd_inner_init(cmd_inner_t *inner, const cmd_options_t *options)
{
    memset(inner, 0, sizeof(cmd_inner_t));
    inner->options = options;

    return options->session_file
           ? cmd_sessions_open(&inner->sessions, options->session_file)
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
           ? transfer->code : cmd_inner_fail(inner, rc, transfer->status != 0);

    if (inner->options->verbose) {
        cmd_verbose_peers(inner->client);
    }

    if (code == CMD_OK && inner->options->export_label) {
        cmd_inner_export(transfer);

        if (!transfer->exported) {
            code = cmd_fail(CMD_TLS, "there is no session any more to export"
                            " keying material of");
        }
    }

    return code;
}


/* Makes one, if there is none of the origin. */

static int
cmd_inner_client(cmd_inner_t *inner, const char *origin)
{
    atls_error_e  rc;

    if (inner->client && strcasecmp(inner->origin, origin) == 0) {
        return CMD_OK;
    }

    cmd_inner_close(inner);

    rc = atls_client_create(&inner->client, origin);

    if (rc != ATLS_OK) {
        return rc == ATLS_ERROR_MEMORY
               ? cmd_fail(CMD_MEMORY, "out of memory")
               : cmd_fail(CMD_URL, "\"%s\" has no host to ask for", origin);
    }

    inner->origin = cmd_copy(origin, strlen(origin));

    rc = cmd_inner_strings(inner);

    if (rc == ATLS_OK) {
        rc = cmd_inner_numbers(inner);
    }

    if (rc == ATLS_OK && inner->options->verbose) {
        rc = atls_set_debug(inner->client, cmd_verbose, NULL);
    }

    if (rc == ATLS_OK && inner->sessions) {
        rc = atls_set_store(inner->client, cmd_sessions_store(inner->sessions));
    }

    return cmd_inner_fail(inner, rc, 0);
}


static atls_error_e
cmd_inner_strings(const cmd_inner_t *inner)
{
    size_t                i;
    atls_error_e          rc;
    const cmd_options_t  *options = inner->options;

    const char *const     protocol = options->tls12 ? "TLSv1.2" : NULL;

    const struct {
        atls_string_e     option;
        const char       *value;
    } strings[] = {
        { ATLS_ENDPOINT,        options->via },
        { ATLS_CA_FILE,         options->ca_file },
        { ATLS_CERT_FILE,       options->cert_file },
        { ATLS_KEY_FILE,        options->key_file },
        { ATLS_KEY_PASSPHRASE,  options->passphrase },
        { ATLS_PSK_IDENTITY,    options->psk_identity },
        { ATLS_PSK_KEY,         options->psk_key },
        { ATLS_MIN_PROTOCOL,    protocol },
        { ATLS_MAX_PROTOCOL,    protocol },
        { ATLS_CIPHERS,         options->ciphers },
        { ATLS_CIPHERSUITES,    options->ciphersuites },
        { ATLS_PROXY,           options->proxy },
    };

    rc = ATLS_OK;

    for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        if (rc == ATLS_OK && strings[i].value) {
            rc = atls_set_string(inner->client, strings[i].option,
                                 strings[i].value);
        }
    }

    return rc;
}


static atls_error_e
cmd_inner_numbers(const cmd_inner_t *inner)
{
    atls_error_e          rc;
    const cmd_options_t  *options = inner->options;

    rc = atls_set_number(inner->client, ATLS_TIMEOUT, options->max_time);

    if (rc == ATLS_OK && options->connect_timeout != -1) {
        rc = atls_set_number(inner->client, ATLS_CONNECT_TIMEOUT,
                             options->connect_timeout);
    }

    if (rc == ATLS_OK && options->early_data) {
        rc = atls_set_number(inner->client, ATLS_EARLY_DATA, 1);
    }

    return rc;
}


/* What the outer certificate is has to be known before the request is made. */

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
    atls_request_t        request;
    const cmd_options_t  *options = inner->options;

    memset(&request, 0, sizeof(atls_request_t));

    request.method = transfer->request.method;
    request.path = transfer->url.path;
    request.headers = transfer->request.headers;
    request.nheaders = transfer->request.nheaders;

    if (options->upload) {
        request.body = ATLS_BODY_READ;
        request.read = cmd_transfer_read;
        request.rewind = cmd_transfer_rewind;
        request.length = transfer->upload.length;

    } else if (options->data) {
        request.body = ATLS_BODY_MEMORY;
        request.bytes = options->data;
        request.length = (int64_t) options->data_size;
    }

    request.on_status = cmd_inner_status;
    request.on_header = cmd_transfer_header;
    request.on_body = cmd_transfer_body;
    request.on_wait = cmd_transfer_wait;
    request.data = transfer;

    return atls_perform(inner->client, &request);
}


static int
cmd_inner_status(void *data, int status, const char *reason)
{
    cmd_inner_export(data);

    return cmd_transfer_status(data, status, reason);
}


/*
 * At the first time that it can be done: an answer may be the end of its
 * session, one to early data comes before there is one.
 */

static void
cmd_inner_export(cmd_transfer_t *transfer)
{
    size_t                i;
    unsigned char        *key;
    const cmd_options_t  *options = transfer->options;

    if (options->export_label == NULL || transfer->exported) {
        return;
    }

    key = cmd_alloc(options->export_size);

    if (atls_exporter(transfer->client, options->export_label, "", 0, key,
                      options->export_size)
        == ATLS_OK)
    {
        fprintf(stderr, "%s ", options->export_label);

        for (i = 0; i < options->export_size; i++) {
            fprintf(stderr, "%02x", key[i]);
        }

        fputc('\n', stderr);
        transfer->exported = 1;
    }

    free(key);
}


static int
cmd_inner_fail(cmd_inner_t *inner, atls_error_e error, int answered)
{
    char        *text;
    int          code;

    if (error == ATLS_OK) {
        return CMD_OK;
    }

    /* asking for the code loses the text */

    text = cmd_format("%s", atls_error_text(inner->client));
    code = cmd_code(inner->client, error, answered);

    cmd_fail(code, "%s%s%s", atls_strerror(error), *text ? ": " : "", text);
    free(text);

    return code;
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
    cmd_sessions_close(inner->sessions);
}
