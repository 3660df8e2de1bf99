
/*
 * Common functions of probes, see probe.h.
 */


#include <stdlib.h>

#include "../base/exitcode.h"
#include "../base/util.h"
#include "../options/client.h"
#include "probe.h"


static const char *cmd_probe_check(atls_fault_e fault, const char *check);


int
cmd_probe_fail(cmd_probe_t *probe, const char *check, atls_error_e error)
{
    int              named;
    char            *text;
    atls_failure_t  *failure = &probe->session.failure;

    if (probe->code == CMD_OK) {
        probe->code = cmd_client_code(error);
    }

    probe->session.open = 0;

    named = error != ATLS_ERROR_OUTER_STATUS && error != ATLS_ERROR_REDIRECT;

    text = cmd_format("%s%s%s", named ? atls_strerror(error) : "",
                      named && *failure->text ? ": " : "", failure->text);

    cmd_findings_fault(&probe->findings,
                       cmd_probe_check(failure->fault, check), failure->fault,
                       text);
    free(text);

    return -1;
}


static const char *
cmd_probe_check(atls_fault_e fault, const char *check)
{
    switch (fault) {

    case ATLS_FAULT_NONE:
        return check;

    case ATLS_FAULT_TOO_LARGE:
        return "size";

    case ATLS_FAULT_COMPRESSED:
        return "compression";

    case ATLS_FAULT_NO_BODY:
    case ATLS_FAULT_CHANGED:
        return "bodies";

    case ATLS_FAULT_CACHED:
        return "caching";

    case ATLS_FAULT_REPEATED:
    case ATLS_FAULT_LOST:
        return "repetition";

    case ATLS_FAULT_NO_SET_COOKIE:
    case ATLS_FAULT_COOKIE_SCOPE:
    case ATLS_FAULT_NO_COOKIE:
        return "cookie";

    case ATLS_FAULT_LOCATION:
        return "location";

    case ATLS_FAULT_UNTRUSTED:
        return "service";

    default:
        return "endpoint";
    }
}


int
cmd_probe_ready(cmd_probe_t *probe)
{
    atls_error_e          rc;
    cmd_probe_session_t  *session = &probe->session;

    if (session->open && !session->tls.closed) {
        return 0;
    }

    rc = cmd_probe_session_open(session);

    return rc == ATLS_OK ? 0 : cmd_probe_fail(probe, "service", rc);
}
