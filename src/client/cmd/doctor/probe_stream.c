
/*
 * The probe of buffering and timeouts.  A POST with two requests is sent, the
 * second of them only after some time.
 *
 * While a POST of a session is in progress at the server, an empty POST on
 * another connection gets 409, and if the service has closed the session, 410:
 * this shows that the first part was passed on.
 * The response to the first request shows the same for responses.  How long the
 * POST may take shows timeouts, and so does an idle connection.
 */


#include <string.h>
#include <time.h>

#include "../../lib/clock.h"
#include "probe.h"


#define CMD_PROBE_STREAM_MIN    2000        /* milliseconds to wait at least */
#define CMD_PROBE_STREAM_DELAYS 20          /* and times the delay of a POST */
#define CMD_PROBE_STREAM_POLLS  10          /* at the beginning, at once */
#define CMD_PROBE_STREAM_PAUSE  20          /* milliseconds */


typedef struct {
    cmd_probe_session_t  *session;
    atls_outer_t         *slow;         /* the POST */
    atls_outer_t         *other;        /* empty POSTs */
    atls_failure_t        failure;      /* of the POST */
    atls_failure_t        other_failure;

    unsigned              answers;      /* until the first response */
    size_t                first;        /* size of the first part */
    size_t                given;
    int64_t               began;
    int64_t               release;      /* time of the second part */
    int64_t               time;         /* that the POST took */
    unsigned              released:1;
    unsigned              reached:1;    /* the server has the first part */
    unsigned              answered:1;   /* before the second one */
} cmd_probe_stream_t;


static atls_error_e cmd_probe_stream_run(cmd_probe_t *probe,
    cmd_probe_stream_t *stream);
static atls_error_e cmd_probe_stream_prepare(cmd_probe_t *probe,
    cmd_probe_stream_t *stream);
static size_t cmd_probe_stream_source(void *data, void *buf, size_t size);
static atls_error_e cmd_probe_stream_sink(void *data,
    const unsigned char *bytes, size_t n);
static int cmd_probe_stream_is_sent(const cmd_probe_stream_t *stream);
static int cmd_probe_stream_wait(void *data);
static void cmd_probe_stream_poll(cmd_probe_stream_t *stream);
static void cmd_probe_stream_findings(cmd_probe_t *probe,
    const cmd_probe_stream_t *stream, atls_error_e rc);
static int cmd_probe_stream_has_ended(const cmd_probe_stream_t *stream);
static void cmd_probe_stream_idle(cmd_probe_t *probe, int64_t time);


int
cmd_probe_stream(cmd_probe_t *probe)
{
    atls_error_e          rc;
    cmd_probe_stream_t    stream;
    cmd_probe_session_t  *session = &probe->session;

    memset(&stream, 0, sizeof(cmd_probe_stream_t));

    if (cmd_probe_ready(probe) == -1) {
        return -1;
    }

    rc = cmd_probe_stream_run(probe, &stream);

    atls_outer_free(stream.slow);
    atls_outer_free(stream.other);

    if (stream.began == 0) {                /* nothing was sent */
        return cmd_probe_fail(probe, "requests", rc);
    }

    cmd_probe_stream_findings(probe, &stream, rc);
    cmd_probe_stream_idle(probe, stream.time);

    if (rc != ATLS_OK) {
        session->open = 0;              /* the session is lost */
    }

    return 0;
}


static atls_error_e
cmd_probe_stream_run(cmd_probe_t *probe, cmd_probe_stream_t *stream)
{
    atls_error_e          rc;
    cmd_probe_session_t  *session = &probe->session;

    stream->session = session;
    stream->slow = cmd_probe_session_outer(session, &stream->failure);
    stream->other = cmd_probe_session_outer(session, &stream->other_failure);

    if (stream->slow == NULL || stream->other == NULL
        || atls_outer_join(stream->slow, session->outer) == -1
        || atls_outer_join(stream->other, session->outer) == -1)
    {
        return atls_fail_memory(&session->failure);
    }

    rc = cmd_probe_stream_prepare(probe, stream);
    if (rc != ATLS_OK) {
        return rc;
    }

    atls_outer_set_wait(stream->slow, cmd_probe_stream_wait, stream);

    rc = atls_outer_stream(stream->slow, session->out.len,
                           cmd_probe_stream_source, cmd_probe_stream_sink,
                           stream);

    stream->time = atls_clock() - stream->began;

    return rc;
}


/* The idle connection of the session has just been used. */

static atls_error_e
cmd_probe_stream_prepare(cmd_probe_t *probe, cmd_probe_stream_t *stream)
{
    size_t                n;
    int64_t               time;
    atls_error_e          rc;
    cmd_probe_session_t  *session = &probe->session;

    session->out.len = 0;
    n = strlen(probe->request);

    rc = cmd_probe_session_write(session, probe->request, n);
    stream->first = session->out.len;

    if (rc == ATLS_OK) {
        rc = cmd_probe_session_write(session, probe->request, n);
    }

    if (rc != ATLS_OK) {
        return rc;
    }

    stream->answers = cmd_probe_session_answers(session) + 1;

    time = CMD_PROBE_STREAM_DELAYS * probe->delay;
    time = time < CMD_PROBE_STREAM_MIN ? CMD_PROBE_STREAM_MIN : time;
    time = time < probe->options->wait ? probe->options->wait : time;

    stream->began = atls_clock();
    stream->release = stream->began + time;

    return ATLS_OK;
}


static size_t
cmd_probe_stream_source(void *data, void *buf, size_t size)
{
    cmd_probe_stream_t  *stream = data;

    size_t  n;

    n = stream->released ? stream->session->out.len : stream->first;
    n -= stream->given;

    if (n > size) {
        n = size;
    }

    memcpy(buf, stream->session->out.data + stream->given, n);
    stream->given += n;

    return n;
}


static atls_error_e
cmd_probe_stream_sink(void *data, const unsigned char *bytes, size_t n)
{
    cmd_probe_stream_t  *stream = data;

    atls_error_e  rc;

    rc = cmd_probe_session_sink(stream->session, bytes, n);

    if (!cmd_probe_stream_is_sent(stream)
        && cmd_probe_session_answers(stream->session) >= stream->answers)
    {
        stream->answered = 1;
        stream->reached = 1;
    }

    return rc;
}


/*
 * Whether a piece of the second part was sent.  When it may be sent, the
 * response to the first one may have arrived, and is read before.
 */

static int
cmd_probe_stream_is_sent(const cmd_probe_stream_t *stream)
{
    return stream->given > stream->first;
}


/* Called when something happens to the POST, and about once a second. */

static int
cmd_probe_stream_wait(void *data)
{
    cmd_probe_stream_t  *stream = data;

    if (stream->released || stream->given < stream->first) {
        return 0;
    }

    if (!stream->reached) {
        cmd_probe_stream_poll(stream);
    }

    if (atls_clock() >= stream->release) {
        stream->released = 1;
        atls_outer_resume(stream->slow);
    }

    return 0;
}


static void
cmd_probe_stream_poll(cmd_probe_stream_t *stream)
{
    int  i, status;

    const struct timespec  pause = { 0, CMD_PROBE_STREAM_PAUSE * 1000000 };

    for (i = 0; i < CMD_PROBE_STREAM_POLLS && !stream->reached; i++) {

        (void) atls_outer_post(stream->other, NULL, 0, cmd_probe_session_sink,
                               stream->session);

        status = atls_outer_status(stream->other);
        stream->reached = status == 409 || status == 410;

        if (!stream->reached) {
            nanosleep(&pause, NULL);
        }
    }
}


static void
cmd_probe_stream_findings(cmd_probe_t *probe, const cmd_probe_stream_t *stream,
    atls_error_e rc)
{
    const char      *text;
    cmd_findings_t  *findings = &probe->findings;

    if (stream->reached) {
        cmd_findings_add(findings, "requests", CMD_FINDING_OK, "",
                         "passed as they are sent");
    } else {
        cmd_findings_add(findings, "requests", CMD_FINDING_LIMIT,
                         "Disable the buffering of requests if uploads are slow"
                         ", and for WebSocket.",
                         "buffered: passed when a POST is complete");
    }

    if (stream->answered) {
        cmd_findings_add(findings, "responses", CMD_FINDING_OK, "",
                         "passed as they are received");

    } else if (!stream->reached) {
        cmd_findings_add(findings, "responses", CMD_FINDING_SKIPPED, "",
                         "not known whether they are buffered, since requests "
                         "are");
    } else {
        cmd_findings_add(findings, "responses", CMD_FINDING_LIMIT,
                         "Disable the buffering of responses if they are "
                         "streamed, as events are.",
                         "buffered: passed when a POST is complete");
    }

    if (rc == ATLS_OK && cmd_probe_stream_has_ended(stream)) {
        cmd_findings_add(findings, "timeouts", CMD_FINDING_SKIPPED, "",
                         "the service closes the session after a request");
        return;
    }

    if (rc == ATLS_OK) {
        cmd_findings_add(findings, "timeouts", CMD_FINDING_OK, "",
                         "a POST may take %.1f seconds",
                         (double) stream->time / 1000);
        return;
    }

    text = *stream->failure.text ? stream->failure.text
                                 : stream->session->failure.text;

    cmd_findings_add(findings, "timeouts", CMD_FINDING_LIMIT,
                     "Increase the timeout, or let the service respond sooner.",
                     "a POST is cut after %.1f seconds: %s",
                     (double) stream->time / 1000, text);
}


/* Whether the session has ended before the second request, or without it. */

static int
cmd_probe_stream_has_ended(const cmd_probe_stream_t *stream)
{
    return !cmd_probe_stream_is_sent(stream)
           || (stream->session->tls.closed
               && cmd_probe_session_answers(stream->session)
                  <= stream->answers);
}


/* The connection of the session was not used since the POST began. */

static void
cmd_probe_stream_idle(cmd_probe_t *probe, int64_t time)
{
    if (cmd_probe_session_poll(&probe->session) != ATLS_OK) {
        probe->session.open = 0;
    }

    if (!probe->kept) {
        cmd_findings_add(&probe->findings, "idle", CMD_FINDING_NOTE, "",
                         "connections are closed after each POST");

    } else if (atls_outer_is_reused(probe->session.outer)) {
        cmd_findings_add(&probe->findings, "idle", CMD_FINDING_OK, "",
                         "connections are kept open for %.1f seconds",
                         (double) time / 1000);
    } else {
        cmd_findings_add(&probe->findings, "idle", CMD_FINDING_NOTE, "",
                         "connections are closed if they are idle for %.1f "
                         "seconds",
                         (double) time / 1000);
    }
}
