
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
#include "pump_program.h"
#include "pump_response.h"
#include "stop.h"


#define CMD_PUMP_PATIENCE   60000           /* milliseconds until a poll without
                                               response is lost */
#define CMD_PUMP_ALONE      1000            /* milliseconds until a poll after a
                                               lost one waits at the server */
#define CMD_PUMP_KNOWN      2               /* POSTs of a session before an open
                                               one: they may be a handshake */


static void cmd_pump_init(cmd_pump_t *pump);
static void cmd_pump_free(cmd_pump_t *pump);
static int cmd_pump_done(const cmd_pump_t *pump);
static atls_error_e cmd_pump_start(cmd_pump_t *pump);
static int64_t cmd_pump_again_at(const cmd_pump_post_t *post);
static int64_t cmd_pump_data_at(const cmd_pump_t *pump);
static atls_error_e cmd_pump_start_data(cmd_pump_t *pump);
static atls_error_e cmd_pump_continue_data(cmd_pump_t *pump);
static int cmd_pump_can_add(const cmd_pump_t *pump);
static atls_error_e cmd_pump_add_data(cmd_pump_post_t *post);
static atls_error_e cmd_pump_start_poll(cmd_pump_t *pump);
static int cmd_pump_polls(const cmd_pump_t *pump);
static int cmd_pump_opens(const cmd_pump_t *pump);
static atls_error_e cmd_pump_post(cmd_pump_post_t *post);
static atls_error_e cmd_pump_open(cmd_pump_post_t *post);
static void cmd_pump_begin(cmd_pump_post_t *post);
static void cmd_pump_wait(cmd_pump_t *pump);
static int cmd_pump_timeout(const cmd_pump_t *pump);
static size_t cmd_pump_source(void *data, void *buf, size_t size);


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


static atls_error_e
cmd_pump_start(cmd_pump_t *pump)
{
    size_t            i;
    int64_t           now;
    atls_error_e      rc;
    cmd_pump_post_t  *post;

    rc = ATLS_OK;
    now = atls_clock();

    for (i = 0; rc == ATLS_OK && i < ATLS_PAIR_POSTS; i++) {
        post = &pump->posts[i];

        if (post->again && cmd_pump_again_at(post) <= now) {
            rc = cmd_pump_post(post);
        }
    }

    if (rc != ATLS_OK || pump->type->closed(pump->data)) {
        return rc;
    }

    if (pump->duplex.open) {
        return cmd_pump_continue_data(pump);
    }

    if (!pump->posts[ATLS_PAIR_DATA].pending && !pump->closing
        && (pump->in.len || pump->ended) && cmd_pump_data_at(pump) <= now)
    {
        return cmd_pump_start_data(pump);
    }

    if (!cmd_pump_polls(pump)) {
        return ATLS_OK;
    }

    return pump->asks && cmd_pump_opens(pump) ? cmd_pump_start_data(pump)
                                              : cmd_pump_start_poll(pump);
}


/* When a POST that was lost, or was too early, is sent again. */

static int64_t
cmd_pump_again_at(const cmd_pump_post_t *post)
{
    int64_t  at;

    at = post->which == ATLS_PAIR_DATA ? cmd_pump_data_at(post->pump) : 0;

    return post->again > at ? post->again : at;
}


/*
 * When data may be sent.  If a poll was lost, they do not overtake the one that
 * follows.  If that is the same again, the server may have sent output, and
 * keeps it until the next data.  An empty one that was lost may wait at the
 * server: then data end its wait, and it is not known that they have overtaken
 * another one, which would get output that follows the response to the data.
 */

static int64_t
cmd_pump_data_at(const cmd_pump_t *pump)
{
    const cmd_pump_post_t  *post = &pump->posts[ATLS_PAIR_POLL];

    if (!pump->lost || !post->pending) {
        return 0;
    }

    return (post->again ? post->again : post->began) + CMD_PUMP_ALONE;
}


/* In an open POST, a poll precedes the data: it shows whether it is passed. */

static atls_error_e
cmd_pump_start_data(cmd_pump_t *pump)
{
    int               opens;
    atls_error_e      rc;
    cmd_pump_post_t  *post = &pump->posts[ATLS_PAIR_DATA];

    post->body.len = 0;
    post->tries = 0;
    post->early = 0;
    post->idle = pump->in.len == 0 && !pump->ended;
    atls_passed_begin(&post->passed);

    opens = cmd_pump_opens(pump);
    rc = opens ? pump->type->poll(pump->data, 1, &post->body) : ATLS_OK;
    post->asks = post->body.len != 0;
    post->repeats = post->asks;

    if (rc == ATLS_OK && post->idle && !post->asks) {
        pump->asks = 0;
        return cmd_pump_start_poll(pump);
    }

    if (rc == ATLS_OK) {
        rc = cmd_pump_add_data(post);
    }

    if (rc != ATLS_OK || post->body.len == 0) {
        return rc;
    }

    return opens ? cmd_pump_open(post) : cmd_pump_post(post);
}


static atls_error_e
cmd_pump_continue_data(cmd_pump_t *pump)
{
    int               adds;
    int64_t           now;
    atls_error_e      rc;
    cmd_pump_post_t  *post = &pump->posts[ATLS_PAIR_DATA];

    now = atls_clock();

    if (!post->begun && now >= cmd_duplex_until(&pump->duplex, 0)
        && (cmd_pump_has_ended(post) || pump->type->closed(pump->data)))
    {
        return ATLS_OK;
    }

    rc = ATLS_OK;
    adds = pump->ended || cmd_pump_can_add(pump);

    if (adds) {
        post->idle = 0;
        rc = cmd_pump_add_data(post);
    }

    pump->duplex.expires =
                   atls_outer_expiry(pump->pair.posts[ATLS_PAIR_DATA].outer);

    if (cmd_duplex_is_due(&pump->duplex, now, post->begun) || pump->ended) {
        cmd_duplex_end(&pump->duplex);

    } else if (!adds) {
        return ATLS_OK;
    }

    atls_outer_resume(pump->pair.posts[ATLS_PAIR_DATA].outer);

    return rc;
}


static int
cmd_pump_can_add(const cmd_pump_t *pump)
{
    return pump->duplex.open && pump->in.len
           && cmd_duplex_has_room(&pump->duplex);
}


static atls_error_e
cmd_pump_add_data(cmd_pump_post_t *post)
{
    size_t         n;
    atls_error_e   rc;
    cmd_pump_t    *pump = post->pump;

    n = post->body.len;

    rc = pump->in.len ? pump->type->seal(pump->data, pump->in.data,
                                         pump->in.len, &post->body)
                      : ATLS_OK;

    pump->sent += pump->in.len;
    pump->in.len = 0;

    if (rc == ATLS_OK && pump->ended) {
        pump->closing = 1;
        rc = pump->type->close(pump->data, &post->body);
    }

    pump->last = post->body.len - n;

    /* the first POST of a session would start another one */

    if (atls_records_post(&pump->records, post->body.data + n,
                          post->body.len - n)
        && (pump->known || !pump->records.data))
    {
        post->repeats = 1;
    }

    return rc;
}


static atls_error_e
cmd_pump_start_poll(cmd_pump_t *pump)
{
    atls_error_e      rc;
    cmd_pump_post_t  *post = &pump->posts[ATLS_PAIR_POLL];

    post->body.len = 0;
    pump->followed = 0;
    atls_passed_begin(&post->passed);

    rc = pump->type->poll(pump->data, 0, &post->body);

    return rc == ATLS_OK ? cmd_pump_post(post) : rc;
}


static int
cmd_pump_polls(const cmd_pump_t *pump)
{
    return !pump->posts[ATLS_PAIR_POLL].pending
           && !pump->posts[ATLS_PAIR_DATA].pending
           && atls_outer_number(pump->pair.posts[ATLS_PAIR_DATA].outer)
           && !pump->closing && pump->out.len == 0
           && pump->next <= atls_clock();
}


static int
cmd_pump_opens(const cmd_pump_t *pump)
{
    return pump->duplex.path != CMD_DUPLEX_STORED && !pump->ended
           && atls_outer_number(pump->pair.posts[ATLS_PAIR_DATA].outer)
              >= CMD_PUMP_KNOWN;
}


/* Sends a POST, the first time or again. */

static atls_error_e
cmd_pump_post(cmd_pump_post_t *post)
{
    cmd_pump_t  *pump = post->pump;

    cmd_pump_begin(post);

    if (post->which == ATLS_PAIR_POLL && !pump->followed) {
        pump->due = post->began + CMD_PUMP_PATIENCE;
    }

    return atls_pair_start(&pump->pair, post->which, post->body.data,
                           post->body.len, post->tries != 0, cmd_pump_sink,
                           post)
           == ATLS_OK ? ATLS_OK : atls_fail_memory(pump->failure);
}


static atls_error_e
cmd_pump_open(cmd_pump_post_t *post)
{
    cmd_pump_t  *pump = post->pump;

    cmd_pump_begin(post);
    cmd_duplex_begin(&pump->duplex, &post->body, post->asks);

    post->opened = 1;

    return atls_pair_start_open(&pump->pair, post->which, cmd_pump_source,
                                cmd_pump_sink, post)
           == ATLS_OK ? ATLS_OK : atls_fail_memory(pump->failure);
}


static void
cmd_pump_begin(cmd_pump_post_t *post)
{
    post->pending = 1;
    post->opened = 0;
    post->again = 0;
    post->begun = 0;
    post->held = 0;
    post->began = atls_clock();
    atls_passed_restart(&post->passed);
    memset(&post->received, 0, sizeof(atls_records_t));

    post->pump->count++;
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


/* An atls_source_pt, of an open POST. */

static size_t
cmd_pump_source(void *data, void *buf, size_t size)
{
    cmd_pump_post_t  *post = data;

    return cmd_duplex_read(&post->pump->duplex, buf, size);
}
