
/* Requests to the service, for ATLS and for plain HTTPS. */


#ifndef ATLS_CMD_REQUEST_H_INCLUDED
#define ATLS_CMD_REQUEST_H_INCLUDED


#include "../options/options.h"
#include "../options/url.h"
#include "upload.h"


typedef struct {
    const char      *method;
    atls_header_t   *headers;
    size_t           nheaders;
} cmd_request_t;


/*
 * The options must stay valid as long as the request.  The range and the
 * cookies may be NULL, see cmd_range_value() and cmd_jar_value().
 */

void cmd_request_make(cmd_request_t *request, const cmd_options_t *options,
    const cmd_url_t *url, cmd_upload_e body, const char *range,
    const char *cookies);

void cmd_request_add(cmd_request_t *request, const char *name,
    const char *value);

/* Checks the method, path and headers.  Returns an exit code. */

int cmd_request_check(const cmd_request_t *request, const cmd_url_t *url);

int cmd_request_has(const cmd_request_t *request, const char *name);

void cmd_request_free(cmd_request_t *request);


#endif /* ATLS_CMD_REQUEST_H_INCLUDED */
