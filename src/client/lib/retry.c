
/*
 * POSTs that are sent again, see retry.h.
 */


#include <string.h>

#include "retry.h"


/*
 * Milliseconds before repetitions.  A connection that was closed needs none; an
 * outage is bridged by the later ones.
 */

#define ATLS_RETRY_PAUSE        50
#define ATLS_RETRY_GROWTH       3
#define ATLS_RETRY_MAX_PAUSE    10000

#define ATLS_RETRY_TIMEOUTS     1           /* repetitions: it takes long */

#define ATLS_RETRY_FLIGHT       131072      /* maximum size to collect */


static void atls_retry_begin(atls_retry_t *retry, const void *bytes, size_t n,
    atls_sink_pt sink, void *data);
static atls_error_e atls_retry_attempt(atls_retry_t *retry, const void *bytes,
    size_t n);
static int atls_retry_is_lost(atls_retry_t *retry, atls_error_e rc);
static int atls_retry_status(const atls_retry_t *retry);
static atls_error_e atls_retry_wait(atls_retry_t *retry);
static int atls_retry_is_final(const atls_retry_t *retry, atls_error_e rc);
static int atls_retry_is_outer(atls_error_e rc);
static atls_error_e atls_retry_sink(void *data, const unsigned char *bytes,
    size_t n);
static atls_error_e atls_retry_collect(atls_retry_t *retry,
    const unsigned char *bytes, size_t n);
static atls_error_e atls_retry_pass(atls_retry_t *retry);


void
atls_retry_init(atls_retry_t *retry, atls_outer_t *outer,
    atls_failure_t *failure, const atls_debug_t *debug, unsigned max)
{
    retry->outer = outer;
    retry->failure = failure;
    retry->debug = debug;
    retry->max = max;
}


void
atls_retry_free(atls_retry_t *retry)
{
    atls_buf_free(&retry->flight);
    atls_passed_free(&retry->passed);
}


void
atls_retry_start(atls_retry_t *retry)
{
    atls_outer_forget(retry->outer);
    memset(&retry->sent, 0, sizeof(atls_records_t));
    retry->known = 0;
}


atls_error_e
atls_retry_post(atls_retry_t *retry, const void *bytes, size_t n,
    atls_sink_pt sink, void *data)
{
    atls_error_e    rc, first, waited;
    atls_failure_t  failure;

    atls_retry_begin(retry, bytes, n, sink, data);
    first = ATLS_OK;

    for ( ;; ) {
        rc = atls_retry_attempt(retry, bytes, n);

        if (!atls_retry_is_lost(retry, rc)) {
            break;
        }

        if (retry->tries == 0) {
            first = rc;
            failure = *retry->failure;
            atls_outer_mark(retry->outer);
        }

        if (retry->tries == retry->max) {
            break;
        }

        waited = atls_retry_wait(retry);

        if (waited == ATLS_ERROR_ABORTED) {
            return waited;
        }

        if (waited != ATLS_OK) {
            break;
        }

        atls_failure_clear(retry->failure);
        retry->tries++;
    }

    if (rc == ATLS_OK) {
        return atls_retry_pass(retry);
    }

    if (retry->tries == 0 || atls_retry_is_final(retry, rc)
        || (first == ATLS_OK && retry->collects))
    {
        return rc;
    }

    retry->lost = atls_outer_status(retry->outer) == 409
                  || atls_outer_status(retry->outer) == 410;

    *retry->failure = failure;
    atls_outer_recall(retry->outer);

    return first;
}


/*
 * The server cannot assign the first POST of a session to it: sent again, it
 * starts another one.  Therefore, it is only repeated without early data, and
 * the response is collected.
 */

static void
atls_retry_begin(atls_retry_t *retry, const void *bytes, size_t n,
    atls_sink_pt sink, void *data)
{
    int  repeats;

    retry->sink = sink;
    retry->sink_data = data;
    retry->tries = 0;
    retry->timeouts = 0;
    retry->posted = 0;
    retry->lost = 0;
    atls_passed_begin(&retry->passed);

    repeats = atls_records_post(&retry->sent, bytes, n);

    retry->collects = !retry->known && !retry->sent.data;
    retry->repeats = repeats && (retry->known || retry->collects);
}


static atls_error_e
atls_retry_attempt(atls_retry_t *retry, const void *bytes, size_t n)
{
    atls_error_e  rc;

    memset(&retry->received, 0, sizeof(atls_records_t));
    atls_passed_restart(&retry->passed);
    retry->flight.len = 0;

    if (retry->tries && !retry->known) {
        atls_outer_forget(retry->outer);
    }

    rc = retry->tries ? atls_outer_again(retry->outer, bytes, n,
                                         atls_retry_sink, retry)
                      : atls_outer_post(retry->outer, bytes, n,
                                        atls_retry_sink, retry);

    if (atls_outer_sent(retry->outer)) {
        retry->posted = 1;
    }

    return rc;
}


/* Whether there is no response, or only a part of it. */

static int
atls_retry_is_lost(atls_retry_t *retry, atls_error_e rc)
{
    /* an error before anything was sent is certain */

    if (!retry->repeats || !retry->posted
        || !atls_passed_comparable(&retry->passed))
    {
        return 0;
    }

    switch (rc) {

    case ATLS_OK:
        return !retry->received.bad
               && (!atls_records_whole(&retry->received)
                   || (retry->missing && retry->missing(retry->sink_data)));

    case ATLS_ERROR_NETWORK:
        return 1;

    case ATLS_ERROR_TIMEOUT:

        /* that of another transport is the loss of a few datagrams */

        return (retry->known || retry->tries
                || atls_outer_is_carried(retry->outer))
               && retry->timeouts++ < ATLS_RETRY_TIMEOUTS;

    case ATLS_ERROR_OUTER_STATUS:
        return atls_retry_status(retry);

    default:

        /* the fate of an earlier attempt is not known */

        return retry->tries && atls_retry_is_outer(rc);
    }
}


/*
 * A status of the endpoint is its response, unless it does not know yet, or
 * cannot say, what has become of an earlier attempt, or where the session is:
 * another of its machines may know.  Those of middleboxes may be sent after the
 * POST was received, but they may also replace the body of a 409 or 410.
 */

static int
atls_retry_status(const atls_retry_t *retry)
{
    int  status;

    status = atls_outer_status(retry->outer);

    if (atls_outer_is_endpoint(retry->outer)) {
        return (retry->tries
                && (status == 503
                    || atls_outer_is_problem(retry->outer, "session-busy")))
               || atls_outer_is_problem(retry->outer, "store-unreachable");
    }

    if (status == 409 || status == 410) {
        return 0;
    }

    return retry->tries || status == 408 || status == 502 || status == 503
           || status == 504;
}


/* Returns ATLS_ERROR_TIMEOUT, without an error text, if it takes too long. */

static atls_error_e
atls_retry_wait(atls_retry_t *retry)
{
    int64_t  pause;

    pause = atls_retry_pause(retry, retry->outer, retry->tries);

    return pause == -1 ? ATLS_ERROR_TIMEOUT
                       : atls_outer_pause(retry->outer, pause);
}


int64_t
atls_retry_pause(const atls_retry_t *retry, const atls_outer_t *outer,
    unsigned tries)
{
    int64_t            pause, after;
    atls_outer_info_t  info;

    pause = ATLS_RETRY_PAUSE;

    while (tries-- && pause < ATLS_RETRY_MAX_PAUSE) {
        pause *= ATLS_RETRY_GROWTH;
    }

    if (pause > ATLS_RETRY_MAX_PAUSE) {
        pause = ATLS_RETRY_MAX_PAUSE;
    }

    atls_outer_info(outer, &info);
    after = (int64_t) info.retry_after * 1000;

    if (after > ATLS_RETRY_MAX_PAUSE) {
        return -1;
    }

    if (pause < after) {
        pause = after;
    }

    atls_debug(retry->debug, ATLS_DEBUG_OUTER,
               "no response, sending the POST again after %lld ms: %s",
               (long long) pause,
               *retry->failure->text ? retry->failure->text
                                     : "it ends too soon");

    return pause;
}


/* Whether the error of a repetition is to be reported. */

static int
atls_retry_is_final(const atls_retry_t *retry, atls_error_e rc)
{
    return rc == ATLS_ERROR_TIMEOUT ? atls_outer_is_late(retry->outer)
                                    : !atls_retry_is_outer(rc);
}


/* Other errors are those of the sink, or of the caller. */

static int
atls_retry_is_outer(atls_error_e rc)
{
    return rc >= ATLS_ERROR_RESOLVE && rc <= ATLS_ERROR_MEDIA_TYPE;
}


static atls_error_e
atls_retry_sink(void *data, const unsigned char *bytes, size_t n)
{
    atls_retry_t  *retry = data;

    atls_error_e  rc;

    atls_records_add(&retry->received, bytes, n);

    if (retry->collects) {
        return atls_retry_collect(retry, bytes, n);
    }

    rc = atls_passed_add(&retry->passed, &bytes, &n, retry->failure);

    return rc != ATLS_OK || n == 0 ? rc
                                   : retry->sink(retry->sink_data, bytes, n);
}


/* A flight that is too large is passed, and the POST is not repeated. */

static atls_error_e
atls_retry_collect(atls_retry_t *retry, const unsigned char *bytes, size_t n)
{
    if (atls_buf_add(&retry->flight, bytes, n) == -1) {
        return atls_fail_memory(retry->failure);
    }

    if (retry->flight.len <= ATLS_RETRY_FLIGHT) {
        return ATLS_OK;
    }

    retry->repeats = 0;

    return atls_retry_pass(retry);
}


/* Passes a response that was collected. */

static atls_error_e
atls_retry_pass(atls_retry_t *retry)
{
    atls_error_e  rc;

    retry->known = 1;

    if (!retry->collects) {
        return ATLS_OK;
    }

    retry->collects = 0;

    rc = retry->flight.len
         ? retry->sink(retry->sink_data, retry->flight.data, retry->flight.len)
         : ATLS_OK;

    atls_buf_free(&retry->flight);

    return rc;
}
