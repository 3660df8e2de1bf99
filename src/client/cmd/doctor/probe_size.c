
/*
 * The probe of the size of POSTs.  A request is sent in many records, each of
 * them with a byte of the request and padding: a large POST, but a small
 * request.
 */


#include <stdlib.h>
#include <string.h>

#include "../base/util.h"
#include "probe.h"


#define CMD_PROBE_SIZE_DEFAULT  (1024 * 1024)   /* as in atls.h */
#define CMD_PROBE_SIZE_MIN      1024
#define CMD_PROBE_SIZE_BLOCK    SSL3_RT_MAX_PLAIN_LENGTH
#define CMD_PROBE_SIZE_RECORD   (CMD_PROBE_SIZE_BLOCK + 64)
                                            /* with header and tag */
#define CMD_PROBE_SIZE_REST     512         /* for the last record */


static atls_error_e cmd_probe_size_try(cmd_probe_t *probe,
    cmd_probe_session_t *session, size_t size);
static atls_error_e cmd_probe_size_write(cmd_probe_session_t *session,
    const char *request, size_t size);
static size_t cmd_probe_size_search(cmd_probe_t *probe, size_t size);
static size_t cmd_probe_size_passes(cmd_probe_t *probe, size_t size);
static void cmd_probe_size_limit(cmd_probe_t *probe, size_t size, size_t passes,
    const char *why);


int
cmd_probe_size(cmd_probe_t *probe)
{
    char                 *why;
    size_t                size;
    cmd_probe_session_t  *session = &probe->session;

    size = probe->options->post_size == -1
           || probe->options->post_size > CMD_PROBE_SIZE_DEFAULT
           ? CMD_PROBE_SIZE_DEFAULT : (size_t) probe->options->post_size;

    if (cmd_probe_ready(probe) == -1) {
        return -1;
    }

    if (SSL_version(session->tls.ssl) != TLS1_3_VERSION) {
        cmd_findings_add(&probe->findings, "size", CMD_FINDING_SKIPPED, "",
                         "padding requires TLS 1.3");
        return 0;
    }

    if (cmd_probe_size_try(probe, session, size) == ATLS_OK) {
        cmd_findings_add(&probe->findings, "size", CMD_FINDING_OK, "",
                         "POSTs may have %zu bytes", session->out.len);
        return 0;
    }

    /* the session may be lost, or not */

    session->open = 0;

    why = cmd_format("%s", session->failure.text);
    cmd_probe_size_limit(probe, session->out.len,
                         cmd_probe_size_search(probe, size), why);
    free(why);

    return 0;
}


static atls_error_e
cmd_probe_size_try(cmd_probe_t *probe, cmd_probe_session_t *session,
    size_t size)
{
    unsigned      answers;
    atls_error_e  rc;

    session->out.len = 0;
    answers = cmd_probe_session_answers(session) + 1;

    rc = cmd_probe_size_write(session, probe->request, size);

    if (rc == ATLS_OK) {
        rc = cmd_probe_session_post(session, 0, session->out.len);
    }

    return rc == ATLS_OK ? cmd_probe_session_expect(session, answers) : rc;
}


/* Writes records with at most size bytes in total. */

static atls_error_e
cmd_probe_size_write(cmd_probe_session_t *session, const char *request,
    size_t size)
{
    size_t        left, block;
    atls_error_e  rc;

    left = strlen(request);

    for (rc = ATLS_OK; left > 1 && rc == ATLS_OK; left--) {

        if (session->out.len + CMD_PROBE_SIZE_REST + CMD_PROBE_SIZE_MIN / 4
            > size)
        {
            break;
        }

        block = size - session->out.len - CMD_PROBE_SIZE_REST;
        block = block < CMD_PROBE_SIZE_RECORD ? block : CMD_PROBE_SIZE_BLOCK;

        session->padded = block;
        rc = cmd_probe_session_write(session, request++, 1);
    }

    session->padded = 0;

    return rc == ATLS_OK ? cmd_probe_session_write(session, request, left) : rc;
}


/* The largest size that passes, by halves; 0: none does. */

static size_t
cmd_probe_size_search(cmd_probe_t *probe, size_t size)
{
    size_t    n, passes;
    unsigned  low, high, middle;

    /* size >> low does not pass, size >> high does, or is too small */

    low = 0;

    for (high = 1; size >> high >= CMD_PROBE_SIZE_MIN; high++) {
        /* void */
    }

    passes = 0;

    while (high - low > 1) {
        middle = (low + high) / 2;
        n = cmd_probe_size_passes(probe, size >> middle);

        if (n) {
            high = middle;
            passes = n;

        } else {
            low = middle;
        }
    }

    return passes;
}


/* Returns the size of a POST that passes, at most size, or 0. */

static size_t
cmd_probe_size_passes(cmd_probe_t *probe, size_t size)
{
    size_t                n;
    cmd_probe_session_t   other, *session = &probe->session;

    n = cmd_probe_session_init(&other, session->options, session->target,
                               session->trust)
        == ATLS_OK
        && cmd_probe_session_open(&other) == ATLS_OK
        && cmd_probe_size_try(probe, &other, size) == ATLS_OK
        ? other.out.len : 0;

    cmd_probe_session_close(&other);
    cmd_probe_session_free(&other);

    return n;
}


static void
cmd_probe_size_limit(cmd_probe_t *probe, size_t size, size_t passes,
    const char *why)
{
    char  *advice;

    advice = passes < CMD_PROBE_SIZE_MIN
             ? cmd_format("Increase the limit for request bodies.")
             : cmd_format("Increase the limit for request bodies, or use "
                          "--post-size %zu.", passes);

    cmd_findings_add(&probe->findings, "size", CMD_FINDING_LIMIT, advice,
                     "POSTs of %zu bytes pass, of %zu do not: %s", passes,
                     size, why);
    free(advice);
}
