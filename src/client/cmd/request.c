
/*
 * Requests to the service, see request.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../lib/request.h"
#include "exitcode.h"
#include "request.h"
#include "util.h"


static void cmd_request_default(cmd_request_t *request,
    const cmd_options_t *options, const char *name, const char *value);


void
cmd_request_make(cmd_request_t *request, const cmd_options_t *options,
    const cmd_url_t *url)
{
    char        *credentials, *authorization;
    size_t       i;
    const char  *user;

    memset(request, 0, sizeof(cmd_request_t));

    request->method = options->method ? options->method
                      : options->head ? "HEAD"
                      : options->upload ? "PUT"
                      : options->data ? "POST"
                      : "GET";

    cmd_request_default(request, options, "User-Agent",
                        options->agent ? options->agent
                                       : "atls/" ATLS_VERSION);
    cmd_request_default(request, options, "Accept", "*/*");

    if (options->data) {
        cmd_request_default(request, options, "Content-Type",
                            "application/x-www-form-urlencoded");
    }

    user = options->user ? options->user : url->user;

    if (user) {
        credentials = cmd_base64(user, strlen(user));
        authorization = cmd_format("Basic %s", credentials);
        cmd_request_default(request, options, "Authorization", authorization);
        free(authorization);
        free(credentials);
    }

    for (i = 0; i < options->nheaders; i++) {
        if (options->headers[i].value
            || strcasecmp(options->headers[i].name, "Host") == 0)
        {
            cmd_request_add(request, options->headers[i].name,
                            options->headers[i].value);
        }
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
}
