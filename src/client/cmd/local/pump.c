
/*
 * Connections on which both sides may send at any time, see pump.h.
 *
 * A response to data comes at once, so it is held until the poll that was sent
 * before has its response: records have an order.  No poll is sent while data
 * are.
 */


#include <string.h>

#include "../../lib/clock.h"
#include "pump.h"
#include "pump_limits.h"
#include "pump_post.h"
#include "pump_program.h"
#include "pump_response.h"
#include "stop.h"


static void cmd_pump_init(cmd_pump_t *pump);
static void cmd_pump_free(cmd_pump_t *pump);
static int cmd_pump_done(const cmd_pump_t *pump);
static void cmd_pump_wait(cmd_pump_t *pump);
static int cmd_pump_timeout(const cmd_pump_t *pump);


atls_error_e
cmd_pump_run(cmd_pump_t *pump, const cmd_pump_type_t *type, void *data,
    cmd_stream_t *stream, const atls_retry_t *retry)
{
    atls_error_e  rc;

    memset(pump, 0, sizeof(cmd_pump_t));

    pump->type = type;
    pump->data = data;
    pump->stream = stream;
    pump->retry = retry;
    pump->failure = retry->failure;

    if (atls_pair_init(&pump->pair, retry->outer) == -1) {
        atls_pair_free(&pump->pair);
        return atls_fail_memory(pump->failure);
    }

    cmd_pump_init(pump);

    do {
        rc = cmd_pump_start(pump);

        if (rc == ATLS_OK) {
            cmd_pump_wait(pump);
            rc = cmd_pump_ended(&pump->posts[ATLS_PAIR_POLL]);
        }

        if (rc == ATLS_OK) {
            rc = cmd_pump_ended(&pump->posts[ATLS_PAIR_DATA]);
        }

        if (rc == ATLS_OK) {
            rc = cmd_pump_cut(pump);
        }

        if (rc == ATLS_OK) {
            rc = cmd_pump_overdue(&pump->posts[ATLS_PAIR_POLL]);
        }

        if (rc == ATLS_OK) {
            rc = cmd_pump_overdue(&pump->posts[ATLS_PAIR_DATA]);
        }

    } while (rc == ATLS_OK && !cmd_pump_done(pump));

    cmd_pump_free(pump);

    return rc;
}


static void
cmd_pump_init(cmd_pump_t *pump)
{
    size_t            i;
    cmd_pump_post_t  *post;

    for (i = 0; i < ATLS_PAIR_POSTS; i++) {
        post = &pump->posts[i];

        post->pump = pump;
        post->which = (atls_pair_e) i;
        atls_outer_set_full(pump->pair.posts[i].outer, cmd_pump_full);
    }

    pump->delay = CMD_PUMP_DELAY;
    pump->asks = 1;
    pump->known = atls_outer_number(pump->pair.posts[ATLS_PAIR_DATA].outer)
                  != 0;
}


static void
cmd_pump_free(cmd_pump_t *pump)
{
    size_t  i;

    atls_outer_set_full(pump->pair.posts[ATLS_PAIR_DATA].outer, NULL);
    atls_pair_free(&pump->pair);

    for (i = 0; i < ATLS_PAIR_POSTS; i++) {
        atls_buf_free(&pump->posts[i].body);
        atls_passed_free(&pump->posts[i].passed);
    }

    atls_buf_free(&pump->in);
    atls_buf_free(&pump->out);
}


static int
cmd_pump_done(const cmd_pump_t *pump)
{
    if (pump->gone) {
        return 1;
    }

    if (pump->pos < pump->out.len) {
        return 0;
    }

    return pump->type->closed(pump->data)
           || (pump->closing && !pump->posts[ATLS_PAIR_DATA].pending);
}


static void
cmd_pump_wait(cmd_pump_t *pump)
{
    struct pollfd  fds[2];

    atls_pair_transfer(&pump->pair);

    if (pump->pos < pump->out.len) {
        cmd_pump_write(pump);
    }

    /* after this, there may be nothing else to wait for */

    cmd_pump_resume(pump);

    memset(fds, 0, sizeof(fds));

    fds[0].fd = pump->stream->fd;

    if (!pump->ended && pump->in.len < CMD_PUMP_SIZE) {
        fds[0].events |= POLLIN;
    }

    if (pump->pos < pump->out.len) {
        fds[0].events |= POLLOUT;
    }

    fds[1].fd = cmd_stop_fd();
    fds[1].events = POLLIN;

    if (cmd_stopping() && !pump->ended) {
        pump->ended = 1;
        pump->progress = atls_clock();
    }

    atls_pair_wait(&pump->pair, fds, fds[0].events & POLLIN
                                     && !cmd_stopping() ? 2 : 1,
                   cmd_pump_timeout(pump));

    if (fds[0].events & POLLIN
        && (fds[0].revents || pump->stream->pos < pump->stream->len))
    {
        cmd_pump_read(pump);
    }

    if (pump->pos < pump->out.len) {
        cmd_pump_write(pump);
        cmd_pump_stall(pump);
    }
}


/* Milliseconds until something has to be sent. */

static int
cmd_pump_timeout(const cmd_pump_t *pump)
{
    size_t   i;
    int64_t  now, at, until;

    if (pump->stream->pos < pump->stream->len || cmd_pump_is_cut(pump)
        || cmd_pump_can_add(pump))
    {
        return 0;
    }

    now = atls_clock();
    until = now + CMD_PUMP_MAX_DELAY;

    if (pump->duplex.open) {
        until = cmd_duplex_until(&pump->duplex,
                                 pump->posts[ATLS_PAIR_DATA].begun);
    }

    for (i = 0; i < ATLS_PAIR_POSTS; i++) {
        at = cmd_pump_again_at(&pump->posts[i]);

        if (pump->posts[i].again && at < until) {
            until = at;
        }
    }

    at = cmd_pump_data_at(pump);

    if (at > now && at < until) {
        until = at;
    }

    if (pump->next > now && pump->next < until) {
        until = pump->next;
    }

    return until > now ? (int) (until - now) : 0;
}
