
/*
 * The service of atls forward and atls tunnel, see service.h.
 */


#include <string.h>

#include "../base/exitcode.h"
#include "../options/url.h"
#include "service.h"


int
cmd_service_parse(atls_target_t *service, const char *text)
{
    int             code;
    cmd_url_t       url;
    atls_failure_t  failure;

    memset(service, 0, sizeof(atls_target_t));
    atls_failure_clear(&failure);

    code = cmd_url_parse(&url, text, NULL, NULL);

    if (code == CMD_OK && (url.user || strcmp(url.path, "/") != 0)) {
        code = cmd_fail(CMD_URL, "\"%s\" must have only a host and a port",
                        text);
    }

    if (code == CMD_OK
        && atls_target_parse(service, url.origin, &failure) != ATLS_OK)
    {
        code = failure.error == ATLS_ERROR_MEMORY
               ? cmd_fail(CMD_MEMORY, "out of memory")
               : cmd_fail(CMD_URL, "no host in \"%s\"", text);
    }

    cmd_url_free(&url);

    return code;
}
