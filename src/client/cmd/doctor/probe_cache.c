
/*
 * The probe of caches: the POST that starts another session has the same URL
 * and no cookie, but must have another response.
 */


#include "probe.h"


int
cmd_probe_cache(cmd_probe_t *probe)
{
    int                   rc;
    atls_error_e          error;
    cmd_probe_session_t   other, *session = &probe->session;

    error = cmd_probe_session_init(&other, session->options, session->target,
                                   session->trust);

    if (error == ATLS_OK) {
        error = cmd_probe_session_open(&other);
    }

    if (error == ATLS_OK) {
        rc = 0;
        cmd_probe_session_close(&other);
        cmd_findings_add(&probe->findings, "caching", CMD_FINDING_OK, "",
                         "responses are not cached");

    } else {
        session->failure = other.failure;
        rc = cmd_probe_fail(probe, "caching", error);
    }

    cmd_probe_session_free(&other);

    return rc;
}
