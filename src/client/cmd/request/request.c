
/*
 * Requests to the service, see request.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/request.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "decode.h"
#include "request.h"


static void cmd_request_custom(cmd_request_t *request,
    const cmd_options_t *options, cmd_upload_e body, int host);
static void cmd_request_authorization(cmd_request_t *request,
    const cmd_options_t *options, const cmd_url_t *url);
static void cmd_request_default(cmd_request_t *request,
    const cmd_options_t *options, const char *name, const char *value);


/* The order of the headers is that of curl. */

void
cmd_request_make(cmd_request_t *request, const cmd_options_t *options,
    const cmd_url_t *url, cmd_upload_e body, const char *range,
    const char *cookies)
{
    memset(request, 0, sizeof(cmd_request_t));

    request->method = options->method ? options->method
                      : options->head ? "HEAD"
                      : body == CMD_UPLOAD_FILE ? "PUT"
                      : body != CMD_UPLOAD_NONE ? "POST"
                      : "GET";

    cmd_request_custom(request, options, body, 1);
    cmd_request_authorization(request, options, url);

    if (range) {
        cmd_request_default(request, options, body ? "Content-Range" : "Range",
                            range);
    }

    cmd_request_default(request, options, "User-Agent",
                        options->agent ? options->agent
                                       : "atls/" ATLS_VERSION);

    if (!options->data_json) {
        cmd_request_default(request, options, "Accept", "*/*");
    }

    if (options->compressed) {
        cmd_request_default(request, options, "Accept-Encoding",
                            CMD_DECODE_CODINGS);
    }

    if (cookies) {
        cmd_request_add(request, "Cookie", cookies);
    }

    cmd_request_custom(request, options, body, 0);

    if (options->data_json) {
        cmd_request_default(request, options, "Content-Type",
                            "application/json");
        cmd_request_default(request, options, "Accept", "application/json");

    } else if (body == CMD_UPLOAD_FORM && options->form->type) {
        cmd_request_add(request, "Content-Type", options->form->type);

    } else if (body == CMD_UPLOAD_DATA) {
        cmd_request_default(request, options, "Content-Type",
                            "application/x-www-form-urlencoded");
    }
}


/*
 * Adds headers of -H: either Host or all others, but not Content-Type of forms,
 * which needs a parameter.
 */

static void
cmd_request_custom(cmd_request_t *request, const cmd_options_t *options,
    cmd_upload_e body, int host)
{
    int             is_host;
    size_t          i;
    atls_header_t  *header;

    for (i = 0; i < options->nheaders; i++) {

        header = &options->headers[i];
        is_host = strcasecmp(header->name, "Host") == 0;

        if (body == CMD_UPLOAD_FORM
            && strcasecmp(header->name, "Content-Type") == 0)
        {
            continue;
        }

        if (is_host == host && (header->value || is_host)) {
            cmd_request_add(request, header->name, header->value);
        }
    }
}


static void
cmd_request_authorization(cmd_request_t *request, const cmd_options_t *options,
    const cmd_url_t *url)
{
    char        *credentials, *value;
    const char  *user;

    user = options->user ? options->user : url->user;

    if (user) {
        credentials = cmd_base64(user, strlen(user));
        value = cmd_format("Basic %s", credentials);

        cmd_request_default(request, options, "Authorization", value);

        cmd_wipe(value);
        cmd_wipe(credentials);
    }
}


/* Adds a header unless it is set or removed by -H. */

static void
cmd_request_default(cmd_request_t *request, const cmd_options_t *options,
    const char *name, const char *value)
{
    size_t  i;

    for (i = 0; i < options->nheaders; i++) {
        if (strcasecmp(options->headers[i].name, name) == 0) {
            return;
        }
    }

    if (*value) {
        cmd_request_add(request, name, value);
    }
}


void
cmd_request_add(cmd_request_t *request, const char *name, const char *value)
{
    atls_header_t  *header;

    request->headers = cmd_realloc(request->headers,
                                   (request->nheaders + 1)
                                   * sizeof(atls_header_t));
    header = &request->headers[request->nheaders++];

    header->name = cmd_copy(name, strlen(name));
    header->value = value ? cmd_copy(value, strlen(value)) : NULL;
}


int
cmd_request_check(const cmd_request_t *request, const cmd_url_t *url)
{
    atls_request_t  sent;
    atls_failure_t  failure;

    memset(&sent, 0, sizeof(atls_request_t));
    sent.method = request->method;
    sent.path = url->path;
    sent.headers = request->headers;
    sent.nheaders = request->nheaders;

    return atls_request_check(&sent, &failure) == ATLS_OK
           ? CMD_OK : cmd_fail(CMD_USAGE, "%s", failure.text);
}


int
cmd_request_has(const cmd_request_t *request, const char *name)
{
    size_t  i;

    for (i = 0; i < request->nheaders; i++) {
        if (strcasecmp(request->headers[i].name, name) == 0) {
            return 1;
        }
    }

    return 0;
}


void
cmd_request_free(cmd_request_t *request)
{
    size_t  i;

    for (i = 0; i < request->nheaders; i++) {
        free((void *) request->headers[i].name);
        free((void *) request->headers[i].value);
    }

    free(request->headers);
    memset(request, 0, sizeof(cmd_request_t));
}
