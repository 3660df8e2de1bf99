
/*
 * Probes of atls doctor.  Each of them examines one property of the path, and
 * adds its findings.
 */


#ifndef ATLS_CMD_PROBE_H_INCLUDED
#define ATLS_CMD_PROBE_H_INCLUDED


#include "findings.h"
#include "probe_session.h"


typedef struct {
    const cmd_options_t  *options;
    cmd_findings_t        findings;
    cmd_probe_session_t   session;      /* the one that is examined */
    char                 *request;      /* HEAD of the URL */
    int64_t               delay;        /* milliseconds for an empty POST */
    int                   kept;         /* connections are, between POSTs */
    int                   code;         /* exit code of the first fault */
} cmd_probe_t;


/*
 * Returns 0, or -1 if further probes are not useful.  All of them need an open
 * session, except for cmd_probe_contact(), which opens it.
 */

typedef int (*cmd_probe_pt)(cmd_probe_t *probe);

/*
 * The first POSTs: connection, endpoint, cookie or location, handshake,
 * repetition.
 */

int cmd_probe_contact(cmd_probe_t *probe);

/* The certificate of the outer connection. */

int cmd_probe_certificate(cmd_probe_t *probe);

/* A request in one POST, and one in pieces. */

int cmd_probe_request(cmd_probe_t *probe);

/* Headers added to responses, compression. */

int cmd_probe_headers(cmd_probe_t *probe);

/* Cached responses. */

int cmd_probe_cache(cmd_probe_t *probe);

/* Buffering, and timeouts. */

int cmd_probe_stream(cmd_probe_t *probe);

/* The maximum size of a POST. */

int cmd_probe_size(cmd_probe_t *probe);


/* for probes: */

/*
 * Adds a fault found by the last call for the session.  The check is named
 * after the fault if it is recognized.  Returns -1.
 */

int cmd_probe_fail(cmd_probe_t *probe, const char *check, atls_error_e error);

/* Opens a session again if the service has closed it.  Returns 0 or -1. */

int cmd_probe_ready(cmd_probe_t *probe);


#endif /* ATLS_CMD_PROBE_H_INCLUDED */
