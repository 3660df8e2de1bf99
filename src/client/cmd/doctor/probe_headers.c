
/*
 * The probe of response headers: what a middlebox has added or removed.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/util.h"
#include "probe.h"


typedef struct {
    char    *added;                     /* NULL: none */
    int      no_store;
} cmd_probe_headers_t;


static void cmd_probe_headers_each(void *data, const char *name,
    const char *value);
static int cmd_probe_headers_expected(const char *name);


/* Those of an endpoint; others may also be set by its configuration. */

static const char *const  cmd_probe_headers_names[] = {
    "Cache-Control", "Connection", "Content-Length", "Content-Type", "Date",
    "Keep-Alive", "Server", "Set-Cookie", "Transfer-Encoding",
};


int
cmd_probe_headers(cmd_probe_t *probe)
{
    cmd_probe_headers_t  headers;

    memset(&headers, 0, sizeof(cmd_probe_headers_t));

    atls_outer_each_header(probe->session.outer, cmd_probe_headers_each,
                           &headers);

    if (headers.added) {
        cmd_findings_add(&probe->findings, "headers", CMD_FINDING_NOTE, "",
                         "added to responses: %s", headers.added);

    } else {
        cmd_findings_add(&probe->findings, "headers", CMD_FINDING_OK, "",
                         "none are added to responses");
    }

    free(headers.added);

    if (!headers.no_store) {
        cmd_findings_add(&probe->findings, "headers", CMD_FINDING_NOTE, "",
                         "\"Cache-Control: no-store\" was removed from "
                         "responses");
    }

    /* a compressed response would have been rejected before */

    cmd_findings_add(&probe->findings, "compression", CMD_FINDING_OK, "",
                     "responses are not compressed");

    return 0;
}


static void
cmd_probe_headers_each(void *data, const char *name, const char *value)
{
    cmd_probe_headers_t  *headers = data;

    char  *added;

    if (strcasecmp(name, "Cache-Control") == 0
        && strcasestr(value, "no-store"))
    {
        headers->no_store = 1;
    }

    if (cmd_probe_headers_expected(name)) {
        return;
    }

    added = cmd_format("%s%s%s: %.200s", headers->added ? headers->added : "",
                       headers->added ? "; " : "", name, value);

    free(headers->added);
    headers->added = added;
}


static int
cmd_probe_headers_expected(const char *name)
{
    size_t  i, n;

    n = sizeof(cmd_probe_headers_names) / sizeof(cmd_probe_headers_names[0]);

    for (i = 0; i < n; i++) {
        if (strcasecmp(name, cmd_probe_headers_names[i]) == 0) {
            return 1;
        }
    }

    return 0;
}
