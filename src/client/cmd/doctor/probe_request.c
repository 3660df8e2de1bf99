
/*
 * The probe of requests: one in a POST, and one whose record is cut.
 */


#include <string.h>

#include "probe.h"


static atls_error_e cmd_probe_request_send(cmd_probe_t *probe, int cut);


int
cmd_probe_request(cmd_probe_t *probe)
{
    atls_error_e  rc;

    rc = cmd_probe_request_send(probe, 0);

    if (rc != ATLS_OK) {
        return cmd_probe_fail(probe, "request", rc);
    }

    cmd_findings_add(&probe->findings, "request", CMD_FINDING_OK, "",
                     "HEAD got status %.3s",
                     (char *) probe->session.answer.data
                     + sizeof("HTTP/1.1 ") - 1);

    if (cmd_probe_ready(probe) == -1) {
        return -1;
    }

    rc = cmd_probe_request_send(probe, 1);

    if (rc != ATLS_OK) {
        return cmd_probe_fail(probe, "splitting", rc);
    }

    cmd_findings_add(&probe->findings, "splitting", CMD_FINDING_OK, "",
                     "records may be sent in several POSTs");

    return 0;
}


static atls_error_e
cmd_probe_request_send(cmd_probe_t *probe, int cut)
{
    size_t                first;
    unsigned              answers;
    atls_error_e          rc;
    cmd_probe_session_t  *session = &probe->session;

    session->out.len = 0;
    answers = cmd_probe_session_answers(session) + 1;

    rc = cmd_probe_session_write(session, probe->request,
                                 strlen(probe->request));
    first = cut ? session->out.len / 2 : session->out.len;

    if (rc == ATLS_OK) {
        rc = cmd_probe_session_post(session, 0, first);
    }

    if (rc == ATLS_OK && cut) {
        rc = cmd_probe_session_post(session, first, session->out.len - first);
    }

    return rc == ATLS_OK ? cmd_probe_session_expect(session, answers) : rc;
}
