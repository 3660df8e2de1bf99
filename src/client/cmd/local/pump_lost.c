
/*
 * POSTs of a pump that have failed, see pump_lost.h.
 */


#include "../../lib/clock.h"
#include "pump_limits.h"
#include "pump_lost.h"


#define CMD_PUMP_EARLY      10              /* milliseconds until a POST that
                                               has overtaken another one is sent
                                               again: doubled each time, */
#define CMD_PUMP_MAX_EARLY  12              /* as often as this; */
#define CMD_PUMP_OVERTAKEN  3               /* after so many, the poll is sent
                                               again as well */


static int cmd_pump_is_past(const cmd_pump_post_t *post, int status);
static int cmd_pump_is_lost(const cmd_pump_post_t *post, atls_error_e error,
    int status);
static int cmd_pump_repeatable(const cmd_pump_post_t *post);
static int64_t cmd_pump_pause(cmd_pump_post_t *post, int status);
static void cmd_pump_overtaken(cmd_pump_t *pump);


/*
 * Whether the connection continues after an error: usually, the POST is sent
 * again.  Data may have overtaken the poll before them: then the server answers
 * 409, and the session is unchanged.  A response that has begun is only
 * requested again if it can be compared.
 */

int
cmd_pump_again(cmd_pump_post_t *post, atls_error_e error)
{
    int          status;
    int64_t      pause, until;
    cmd_pump_t  *pump = post->pump;

    status = error == ATLS_ERROR_OUTER_STATUS
             ? atls_outer_status(pump->pair.posts[post->which].outer) : 0;

    if (cmd_pump_is_past(post, status)) {
        atls_failure_clear(pump->failure);
        post->pending = 0;
        pump->next = atls_clock() + CMD_PUMP_DELAY;
        return 1;
    }

    if (!cmd_pump_is_lost(post, error, status)
        || !atls_passed_comparable(&post->passed)
        || (!cmd_pump_repeatable(post)
            && (post->which == ATLS_PAIR_DATA
                || atls_passed_any(&post->passed)))
        || (pause = cmd_pump_pause(post, status)) == -1)
    {
        pump->failed = post->which;
        pump->status = status;
        return 0;
    }

    if (post->opened) {
        cmd_duplex_end(&pump->duplex);
        pump->duplex.path = CMD_DUPLEX_STORED;
    }

    atls_failure_clear(pump->failure);

    until = atls_clock() + pause;

    if (post->which == ATLS_PAIR_POLL && !pump->followed) {
        pump->lost = (status != 409);
    }

    if (cmd_pump_repeatable(post)) {
        post->again = until;

    } else {
        post->pending = 0;
        pump->next = until;
    }

    if (status == 409 && post->which == ATLS_PAIR_DATA
        && post->early == CMD_PUMP_OVERTAKEN)
    {
        cmd_pump_overtaken(pump);
    }

    return 1;
}


/*
 * A poll is sent again, also by libcurl, when its response is lost.  If data
 * after it were processed in the meantime, and the session has ended, the
 * response to the data is the last one: there may be output in it.
 */

static int
cmd_pump_is_past(const cmd_pump_post_t *post, int status)
{
    return post->which == ATLS_PAIR_POLL && status == 410
           && post->pump->posts[ATLS_PAIR_DATA].pending
           && !atls_passed_any(&post->passed);
}


/*
 * An open POST is sent again, as a complete one, if the path refuses it or
 * closes its connection.  But if the response has begun, the server has it, and
 * data that were added later may be lost.
 */

static int
cmd_pump_is_lost(const cmd_pump_post_t *post, atls_error_e error, int status)
{
    if (post->opened && post->begun && post->pump->duplex.open) {
        return 0;
    }

    if (error == ATLS_ERROR_NETWORK || error == ATLS_ERROR_TIMEOUT) {
        return 1;
    }

    switch (status) {

    case 408:
    case 409:
    case 503:
    case 504:
        return 1;

    case 502:

        /* of the endpoint: the service has refused the data */

        return !atls_outer_is_endpoint(
                   post->pump->pair.posts[post->which].outer);

    case 400:
    case 411:
    case 413:
    case 417:
    case 501:
    case 505:
        return post->opened;

    default:
        return 0;
    }
}


/*
 * An empty poll is not known to the server when it is sent again: it is another
 * one, and does not precede data that were sent in the meantime.  After data
 * that were answered, the response to a poll is no longer kept.  If it was not
 * empty, its records are missing in the stream, and TLS fails.
 *
 * Nor are data known that have no end of a record, or that start a session.
 * The latter are safe to send again unless there are early data among them:
 * their client would be told that they were rejected, and send them once more.
 * An open POST is often refused before the server receives it.
 */

static int
cmd_pump_repeatable(const cmd_pump_post_t *post)
{
    return post->which == ATLS_PAIR_DATA
           ? post->repeats || post->opened
           : post->body.len && !post->pump->followed;
}


/*
 * Milliseconds until a POST is sent again, or -1 if that was done often enough.
 * One that has overtaken another one is not lost, nor is an open POST that the
 * path does not pass.
 */

static int64_t
cmd_pump_pause(cmd_pump_post_t *post, int status)
{
    int64_t      pause;
    cmd_pump_t  *pump = post->pump;

    if (status == 409) {

        if (post->early == CMD_PUMP_MAX_EARLY) {
            return -1;
        }

        post->early++;
        pause = (int64_t) CMD_PUMP_EARLY << post->early;

        return pause < CMD_PUMP_MAX_DELAY ? pause : CMD_PUMP_MAX_DELAY;
    }

    if (post->opened) {
        return 0;
    }

    return post->tries == pump->retry->max
           ? -1 : atls_retry_pause(pump->retry,
                                   pump->pair.posts[post->which].outer,
                                   post->tries++);
}


/* The poll before the data does not arrive: perhaps it is lost. */

static void
cmd_pump_overtaken(cmd_pump_t *pump)
{
    cmd_pump_post_t  *post = &pump->posts[ATLS_PAIR_POLL];

    if (atls_pair_busy(&pump->pair, ATLS_PAIR_POLL) && !post->begun
        && post->tries < pump->retry->max && cmd_pump_repeatable(post))
    {
        atls_pair_abort(&pump->pair, ATLS_PAIR_POLL);
        post->tries++;
        post->again = atls_clock();
        pump->lost = 1;
    }
}
