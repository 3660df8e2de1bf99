
/*
 * The probe that opens a session: connection, endpoint, cookie or location,
 * handshake.
 *
 * Until the client's last flight, a POST that is sent twice does no harm: it is
 * empty, or starts another session.  So a session that is not found by such a
 * POST is on another machine; one that is lost later was ended by a POST that
 * was sent twice.
 */


#include <string.h>

#include "../../lib/clock.h"
#include "../../lib/fault.h"
#include "../base/exitcode.h"
#include "probe.h"


#define CMD_PROBE_CONNECTIONS     4


typedef enum {
    CMD_PROBE_FOUND = 0,
    CMD_PROBE_ENDED,
    CMD_PROBE_ELSEWHERE                 /* on another machine */
} cmd_probe_lost_e;


static int cmd_probe_contact_connection(cmd_probe_t *probe, atls_error_e rc);
static int cmd_probe_contact_tracking(cmd_probe_t *probe);
static int cmd_probe_contact_connections(cmd_probe_t *probe);
static atls_error_e cmd_probe_contact_poll(cmd_probe_session_t *session,
    cmd_probe_lost_e *lost);
static cmd_probe_lost_e cmd_probe_contact_lost(const atls_outer_t *outer);
static int cmd_probe_contact_fail(cmd_probe_t *probe, const char *check,
    cmd_probe_lost_e lost, atls_error_e rc);
static int cmd_probe_contact_handshake(cmd_probe_t *probe);


int
cmd_probe_contact(cmd_probe_t *probe)
{
    atls_error_e  rc;

    rc = cmd_probe_session_start(&probe->session);

    if (cmd_probe_contact_connection(probe, rc) == -1) {
        return -1;
    }

    if (rc == ATLS_ERROR_TLS || rc == ATLS_ERROR_CERTIFICATE) {
        return cmd_probe_fail(probe, "service", rc);
    }

    if (rc != ATLS_OK) {
        return cmd_probe_fail(probe, "endpoint", rc);
    }

    cmd_findings_add(&probe->findings, "endpoint", CMD_FINDING_OK, "",
                     "responds to ATLS");

    return cmd_probe_contact_tracking(probe) == 0
           && cmd_probe_contact_connections(probe) == 0
           ? cmd_probe_contact_handshake(probe) : -1;
}


static int
cmd_probe_contact_connection(cmd_probe_t *probe, atls_error_e rc)
{
    atls_outer_info_t  info;

    memset(&info, 0, sizeof(atls_outer_info_t));
    atls_outer_info(probe->session.outer, &info);

    if (info.status == 0) {
        return cmd_probe_fail(probe, "connection", rc);
    }

    cmd_findings_add(&probe->findings, "connection", CMD_FINDING_OK, "",
                     "HTTP/%s%s", info.http,
                     atls_outer_is_secure(probe->session.outer)
                     ? " over TLS" : ", not over TLS");

    return 0;
}


static int
cmd_probe_contact_tracking(cmd_probe_t *probe)
{
    int               located;
    int64_t           began;
    atls_error_e      rc;
    cmd_probe_lost_e  lost;

    located = atls_outer_is_located(probe->session.outer);

    began = atls_clock();
    rc = cmd_probe_session_poll(&probe->session);
    probe->delay = atls_clock() - began;
    probe->kept = atls_outer_is_reused(probe->session.outer);

    if (rc != ATLS_OK) {
        lost = probe->session.failure.fault == ATLS_FAULT_NONE
               ? cmd_probe_contact_lost(probe->session.outer)
               : CMD_PROBE_FOUND;

        return cmd_probe_contact_fail(probe, located ? "location" : "cookie",
                                      lost, rc);
    }

    if (located) {
        cmd_findings_add(&probe->findings, "location", CMD_FINDING_OK, "",
                         "given by the first response, and followed");

    } else {
        cmd_findings_add(&probe->findings, "cookie", CMD_FINDING_OK, "",
                         "set by the first response, and returned");
    }

    return 0;
}


/* Each POST is sent on a new connection. */

static int
cmd_probe_contact_connections(cmd_probe_t *probe)
{
    int               i;
    atls_error_e      rc;
    cmd_probe_lost_e  lost;

    for (i = 0; i < CMD_PROBE_CONNECTIONS; i++) {

        rc = cmd_probe_contact_poll(&probe->session, &lost);

        if (rc != ATLS_OK) {
            return cmd_probe_contact_fail(probe, "connections", lost, rc);
        }
    }

    cmd_findings_add(&probe->findings, "connections", CMD_FINDING_OK, "",
                     "POSTs on %d other connections belong to the session",
                     CMD_PROBE_CONNECTIONS);

    return 0;
}


static atls_error_e
cmd_probe_contact_poll(cmd_probe_session_t *session, cmd_probe_lost_e *lost)
{
    atls_error_e   rc;
    atls_outer_t  *outer;

    *lost = CMD_PROBE_FOUND;
    atls_failure_clear(&session->failure);

    outer = cmd_probe_session_outer(session, &session->failure);

    if (outer == NULL || atls_outer_join(outer, session->outer) == -1) {
        atls_outer_free(outer);
        return atls_fail_memory(&session->failure);
    }

    rc = atls_outer_post(outer, NULL, 0, cmd_probe_session_sink, session);

    *lost = cmd_probe_contact_lost(outer);
    atls_outer_free(outer);

    return rc;
}


/* The server has started the session if it does not call it a foreign one. */

static cmd_probe_lost_e
cmd_probe_contact_lost(const atls_outer_t *outer)
{
    if (atls_outer_status(outer) != 410) {
        return CMD_PROBE_FOUND;
    }

    return atls_outer_is_problem(outer, "session-unknown")
           || atls_outer_is_problem(outer, "handshake-timeout")
           ? CMD_PROBE_ENDED : CMD_PROBE_ELSEWHERE;
}


static int
cmd_probe_contact_fail(cmd_probe_t *probe, const char *check,
    cmd_probe_lost_e lost, atls_error_e rc)
{
    if (lost == CMD_PROBE_FOUND) {
        return cmd_probe_fail(probe, check, rc);
    }

    probe->code = CMD_REPLY;

    if (lost == CMD_PROBE_ENDED) {
        cmd_findings_add(&probe->findings, "service", CMD_FINDING_FAULT,
                         "See atls_handshake_timeout and atls_zone of the "
                         "server.",
                         "the session ended before the handshake: it took too "
                         "long, or the server has no room");
        return -1;
    }

    cmd_findings_add(&probe->findings, "connections", CMD_FINDING_FAULT,
                     "A load balancer must send all POSTs with a cookie, or to "
                     "a path of a session, to one machine.",
                     "a POST did not reach the session: POSTs are sent to "
                     "different machines");

    return -1;
}


static int
cmd_probe_contact_handshake(cmd_probe_t *probe)
{
    atls_error_e          rc;
    cmd_probe_session_t  *session = &probe->session;

    rc = cmd_probe_session_finish(session);

    if (rc == ATLS_OK) {
        rc = cmd_probe_session_poll(session);

        if (rc != ATLS_OK && atls_outer_status(session->outer) == 410) {
            session->failure.fault = ATLS_FAULT_REPEATED;
            (void) atls_fail(&session->failure, rc,
                             "the session was lost: %s",
                             atls_fault_text(ATLS_FAULT_REPEATED));
        }
    }

    if (rc != ATLS_OK) {
        return cmd_probe_fail(probe, "service", rc);
    }

    cmd_findings_add(&probe->findings, "bodies", CMD_FINDING_OK, "",
                     "not changed");
    cmd_findings_add(&probe->findings, "repetition", CMD_FINDING_OK, "",
                     "no POST was refused because it was sent twice");
    cmd_findings_add(&probe->findings, "service", CMD_FINDING_OK, "",
                     "%s, %s, %s", SSL_get_version(session->tls.ssl),
                     SSL_get_cipher_name(session->tls.ssl),
                     session->tls.psk_used
                     ? "authenticated by the pre-shared key"
                     : "certificate verified");

    return 0;
}
