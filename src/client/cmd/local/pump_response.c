
/*
 * Responses to the POSTs of a pump, see pump_response.h.
 */


#include "../../lib/clock.h"
#include "pump_limits.h"
#include "pump_lost.h"
#include "pump_response.h"


#define CMD_PUMP_WAITS      1000            /* milliseconds: a poll that takes
                                               less has not waited */
#define CMD_PUMP_OVERDUE    10000           /* milliseconds after the response
                                               to later data, until a poll is
                                               lost; also for a POST that asks
                                               for it */


static void cmd_pump_follow(cmd_pump_t *pump);
static void cmd_pump_answered(cmd_pump_post_t *post);


atls_error_e
cmd_pump_ended(cmd_pump_post_t *post)
{
    atls_error_e   rc;
    cmd_pump_t    *pump = post->pump;

    if (!atls_pair_ended(&pump->pair, post->which, &rc)) {
        return ATLS_OK;
    }

    if (rc == ATLS_OK && !post->received.bad
        && !atls_records_whole(&post->received))
    {
        rc = atls_fail(pump->failure, ATLS_ERROR_NETWORK,
                       "a response ended within a record");
    }

    if (rc != ATLS_OK) {
        return cmd_pump_again(post, rc) ? ATLS_OK : rc;
    }

    cmd_pump_answered(post);

    return atls_pair_join(&pump->pair) == 0 ? ATLS_OK
                                            : atls_fail_memory(pump->failure);
}


/*
 * Whether the connection of an open POST was closed, which libcurl notices when
 * the next data are sent.
 */

int
cmd_pump_is_cut(const cmd_pump_t *pump)
{
    const cmd_pump_post_t  *post = &pump->posts[ATLS_PAIR_DATA];

    return pump->duplex.open && !post->held
           && atls_outer_is_closed(pump->pair.posts[ATLS_PAIR_DATA].outer);
}


/*
 * The session usually has ended with the response.  The next POST shows it, and
 * a tunnel leaves the end to its client.
 */

atls_error_e
cmd_pump_cut(cmd_pump_t *pump)
{
    atls_error_e      rc;
    cmd_pump_post_t  *post = &pump->posts[ATLS_PAIR_DATA];

    if (!cmd_pump_is_cut(pump)) {
        return ATLS_OK;
    }

    atls_pair_abort(&pump->pair, ATLS_PAIR_DATA);

    if (post->begun && atls_records_whole(&post->received)) {
        cmd_pump_answered(post);
        return ATLS_OK;
    }

    rc = atls_fail(pump->failure, ATLS_ERROR_NETWORK,
                   "the connection was closed while a POST was open");

    return cmd_pump_again(post, rc) ? ATLS_OK : rc;
}


/*
 * A POST, or the response to it, may be lost without an error: the path has
 * changed.  The response to data may take long, while the service does not read
 * them.
 */

atls_error_e
cmd_pump_overdue(cmd_pump_post_t *post)
{
    int64_t        due;
    atls_error_e   rc;
    cmd_pump_t    *pump = post->pump;

    due = post->which == ATLS_PAIR_POLL ? pump->due
          : post->asks ? post->began + CMD_PUMP_OVERDUE : INT64_MAX;

    if (!atls_pair_busy(&pump->pair, post->which) || post->begun
        || atls_clock() < due)
    {
        return ATLS_OK;
    }

    if (cmd_pump_has_ended(post) || post->begun) {
        return ATLS_OK;
    }

    atls_pair_abort(&pump->pair, post->which);

    rc = atls_fail(pump->failure, ATLS_ERROR_TIMEOUT, "no response to a POST");

    return cmd_pump_again(post, rc) ? ATLS_OK : rc;
}


/* This process may not have run for a while, and the response be there. */

int
cmd_pump_has_ended(cmd_pump_post_t *post)
{
    atls_pair_transfer(&post->pump->pair);

    return atls_pair_has_ended(&post->pump->pair, post->which);
}


/* The response to data has begun: that to the poll before them was sent. */

static void
cmd_pump_follow(cmd_pump_t *pump)
{
    if (pump->posts[ATLS_PAIR_POLL].pending && !pump->followed) {
        pump->followed = 1;
        pump->due = atls_clock() + CMD_PUMP_OVERDUE;
    }
}


static void
cmd_pump_answered(cmd_pump_post_t *post)
{
    int          empty;
    int64_t      now;
    cmd_pump_t  *pump = post->pump;

    now = atls_clock();
    post->pending = 0;
    post->tries = 0;
    post->early = 0;
    pump->lost = 0;

    if (post->which == ATLS_PAIR_DATA) {

        /* during it, an empty poll gets 409: the count begins again */

        pump->posts[ATLS_PAIR_POLL].early = 0;

        pump->known = 1;
        cmd_duplex_end(&pump->duplex);
        cmd_pump_follow(pump);
        empty = post->idle;

    } else {
        empty = !post->begun && !pump->posts[ATLS_PAIR_DATA].pending;
    }

    if (!empty || now - post->began >= CMD_PUMP_WAITS) {
        pump->delay = CMD_PUMP_DELAY;
        pump->next = 0;
        return;
    }

    pump->next = now + pump->delay;
    pump->delay = pump->delay * 2 < CMD_PUMP_MAX_DELAY ? pump->delay * 2
                                                       : CMD_PUMP_MAX_DELAY;
}


void
cmd_pump_resume(cmd_pump_t *pump)
{
    size_t            i;
    cmd_pump_post_t  *post;

    for (i = 0; i < ATLS_PAIR_POSTS; i++) {
        post = &pump->posts[i];

        if (post->held && !cmd_pump_full(post)) {
            post->held = 0;
            atls_outer_resume(pump->pair.posts[i].outer);
        }
    }
}


/* Whether a response, which has begun, has to wait. */

int
cmd_pump_full(void *data)
{
    cmd_pump_post_t  *post = data;
    cmd_pump_t       *pump = post->pump;

    post->begun = 1;

    if (pump->out.len - pump->pos < CMD_PUMP_SIZE
        && !(post->which == ATLS_PAIR_DATA
             && pump->posts[ATLS_PAIR_POLL].pending))
    {
        return 0;
    }

    if (post->which == ATLS_PAIR_DATA) {
        cmd_pump_follow(pump);
    }

    post->held = 1;

    return 1;
}


atls_error_e
cmd_pump_sink(void *data, const unsigned char *bytes, size_t n)
{
    atls_error_e      rc;
    cmd_pump_post_t  *post = data;
    cmd_pump_t       *pump = post->pump;

    atls_records_add(&post->received, bytes, n);

    rc = atls_passed_add(&post->passed, &bytes, &n, pump->failure);

    return rc != ATLS_OK || n == 0 ? rc
                                   : pump->type->open(pump->data, bytes, n);
}
