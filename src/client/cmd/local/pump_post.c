
/*
 * POSTs of a pump, see pump_post.h.
 */


#include <string.h>

#include "../../lib/clock.h"
#include "pump_post.h"
#include "pump_response.h"


#define CMD_PUMP_PATIENCE   60000           /* milliseconds until a poll without
                                               response is lost */
#define CMD_PUMP_ALONE      1000            /* milliseconds until a poll after a
                                               lost one waits at the server */
#define CMD_PUMP_KNOWN      2               /* POSTs of a session before an open
                                               one: they may be a handshake */


static atls_error_e cmd_pump_start_data(cmd_pump_t *pump);
static atls_error_e cmd_pump_continue_data(cmd_pump_t *pump);
static atls_error_e cmd_pump_add_data(cmd_pump_post_t *post);
static atls_error_e cmd_pump_start_poll(cmd_pump_t *pump);
static int cmd_pump_polls(const cmd_pump_t *pump);
static int cmd_pump_opens(const cmd_pump_t *pump);
static atls_error_e cmd_pump_post(cmd_pump_post_t *post);
static atls_error_e cmd_pump_open(cmd_pump_post_t *post);
static void cmd_pump_begin(cmd_pump_post_t *post);
static size_t cmd_pump_source(void *data, void *buf, size_t size);


atls_error_e
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

int64_t
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

int64_t
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


int
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


/* An atls_source_pt, of an open POST. */

static size_t
cmd_pump_source(void *data, void *buf, size_t size)
{
    cmd_pump_post_t  *post = data;

    return cmd_duplex_read(&post->pump->duplex, buf, size);
}
