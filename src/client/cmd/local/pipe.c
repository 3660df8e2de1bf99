
/*
 * Connections of local TLS clients, carried in POSTs, see pipe.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/clock.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../base/verbose.h"
#include "../options/route.h"
#include "../options/via.h"
#include "pipe.h"
#include "stop.h"


#define CMD_PIPE_SIZE       (1024 * 1024)   /* maximum size of a POST's body */

/*
 * Milliseconds to wait for more records of a flight: clients may write them one
 * by one.
 */

#define CMD_PIPE_GATHER     2

#define CMD_PIPE_CHECK      1000            /* milliseconds between checks of an
                                               idle session */
#define CMD_PIPE_IDLE       300000          /* milliseconds, as in atls.h */
#define CMD_PIPE_CLOSED     3000            /* timeout after the client
                                               closed */
#define CMD_PIPE_ALERT      32              /* maximum size of an alert */


static void cmd_pipe_pump(cmd_pipe_t *pipe);
static atls_error_e cmd_pipe_add(void *data, const unsigned char *bytes,
    size_t n, atls_buf_t *body);
static atls_error_e cmd_pipe_add_poll(void *data, int ask, atls_buf_t *body);
static atls_error_e cmd_pipe_add_end(void *data, atls_buf_t *body);
static int cmd_pipe_is_open(void *data);
static void cmd_pipe_posts(cmd_pipe_t *pipe, char *buf);
static int cmd_pipe_next(cmd_pipe_t *pipe);
static int cmd_pipe_is_lost(cmd_pipe_t *pipe);
static size_t cmd_pipe_gather(cmd_stream_t *stream, char *buf);
static atls_error_e cmd_pipe_sink(void *data, const unsigned char *bytes,
    size_t n);
static int cmd_pipe_wait(void *data);


atls_outer_t *
cmd_pipe_outer(const cmd_options_t *options, const char *endpoint,
    const atls_debug_t *debug, atls_failure_t *failure)
{
    atls_outer_conf_t  conf;

    memset(&conf, 0, sizeof(atls_outer_conf_t));
    atls_failure_clear(failure);

    conf.url = endpoint;
    conf.user = options->via_user;
    conf.headers = (const char *const *) options->via_headers.items;
    conf.idle_timeout = CMD_PIPE_IDLE;

    conf.debug = *debug;

    cmd_route(&conf.route, options);

    return cmd_via(&conf.transport, endpoint, options, failure) == 0
           ? atls_outer_create(&conf, failure) : NULL;
}


int
cmd_pipe_check(const cmd_options_t *options, const char *endpoint)
{
    atls_debug_t     debug;
    atls_outer_t    *outer;
    atls_failure_t   failure;

    memset(&debug, 0, sizeof(atls_debug_t));
    outer = cmd_pipe_outer(options, endpoint, &debug, &failure);
    atls_outer_free(outer);

    return outer ? CMD_OK : cmd_fail(failure.error == ATLS_ERROR_MEMORY
                                     ? CMD_MEMORY : CMD_USAGE, "%s",
                                     failure.text);
}


int
cmd_pipe_open(cmd_pipe_t *pipe, const cmd_options_t *options,
    const char *endpoint, cmd_stream_t *stream)
{
    memset(pipe, 0, sizeof(cmd_pipe_t));

    pipe->stream = stream;
    pipe->poll = options->poll;
    pipe->began = atls_clock();
    snprintf(pipe->tag, sizeof(pipe->tag), "%s ", stream->peer);

    if (options->verbose) {
        pipe->debug.handler = cmd_verbose;
        pipe->debug.data = pipe->tag;
    }

    pipe->outer = cmd_pipe_outer(options, endpoint, &pipe->debug,
                                 &pipe->failure);

    if (pipe->outer == NULL) {
        return -1;
    }

    atls_outer_set_wait(pipe->outer, cmd_pipe_wait, pipe);
    atls_retry_init(&pipe->retry, pipe->outer, &pipe->failure, &pipe->debug,
                    options->retry == CMD_RETRY_UNSET ? ATLS_DEFAULT_RETRIES
                                                      : options->retry);

    return 0;
}


void
cmd_pipe_close(cmd_pipe_t *pipe)
{
    atls_retry_free(&pipe->retry);
    atls_outer_free(pipe->outer);
    pipe->outer = NULL;
}


void
cmd_pipe_run(cmd_pipe_t *pipe)
{
    char  *buf;

    if (pipe->poll) {
        cmd_pipe_pump(pipe);

    } else {
        buf = cmd_realloc(NULL, CMD_PIPE_SIZE);
        cmd_pipe_posts(pipe, buf);
        free(buf);
    }

    if (pipe->gone) {
        snprintf(pipe->failure.text, sizeof(pipe->failure.text),
                 "local client closed the connection");
    }

    if (*pipe->failure.text && !pipe->lost) {
        cmd_stream_reset(pipe->stream);

    } else {
        cmd_stream_end(pipe->stream);
    }
}


/*
 * With polls.  The data are records of the client, so a poll is empty, and so
 * is the end of data.
 */

static void
cmd_pipe_pump(cmd_pipe_t *pipe)
{
    cmd_pump_t  *pump = &pipe->pump;

    static const cmd_pump_type_t  type = {
        cmd_pipe_add,
        cmd_pipe_add_poll,
        cmd_pipe_add_end,
        cmd_pump_receive,
        cmd_pipe_is_open
    };

    (void) cmd_pump_run(pump, &type, pump, pipe->stream, &pipe->retry);

    pipe->posts += pump->count;
    pipe->sent = pump->sent;
    pipe->received = pump->received;
    pipe->gone = pump->gone;

    /* the session has ended; the client may know it, or not read any more */

    if (pump->status == 410
        && (pump->failed == ATLS_PAIR_POLL || pump->last < CMD_PIPE_ALERT))
    {
        atls_failure_clear(&pipe->failure);
    }
}


static atls_error_e
cmd_pipe_add(void *data, const unsigned char *bytes, size_t n, atls_buf_t *body)
{
    cmd_pump_t  *pump = data;

    return atls_buf_add(body, bytes, n) == -1 ? atls_fail_memory(pump->failure)
                                              : ATLS_OK;
}


static atls_error_e
cmd_pipe_add_poll(void *data, int ask, atls_buf_t *body)
{
    (void) data;
    (void) ask;
    (void) body;

    return ATLS_OK;
}


static atls_error_e
cmd_pipe_add_end(void *data, atls_buf_t *body)
{
    (void) data;
    (void) body;

    return ATLS_OK;
}


/* Only the client can see that the server has closed the session. */

static int
cmd_pipe_is_open(void *data)
{
    (void) data;

    return 0;
}


static void
cmd_pipe_posts(cmd_pipe_t *pipe, char *buf)
{
    size_t         n;
    cmd_stream_t  *stream = pipe->stream;

    while (cmd_pipe_next(pipe)) {

        n = cmd_pipe_gather(stream, buf);

        if (n == 0) {
            return;
        }

        pipe->posts++;
        pipe->sent += n;

        if (atls_retry_post(&pipe->retry, buf, n, cmd_pipe_sink, pipe)
            == ATLS_OK)
        {
            continue;
        }

        /* after the server closed the session, close_notify gets 410 */

        if (n < CMD_PIPE_ALERT
            && (pipe->retry.lost || atls_outer_status(pipe->outer) == 410))
        {
            atls_failure_clear(&pipe->failure);
        }

        return;
    }
}


/*
 * Waits for data of the client.  Returns 0 if there will be none, or if they
 * could not be sent.
 */

static int
cmd_pipe_next(cmd_pipe_t *pipe)
{
    int  stopping;

    do {
        stopping = cmd_stopping();

        if (cmd_stream_wait_request(pipe->stream, CMD_PIPE_CHECK)) {
            return 1;
        }

        pipe->lost = pipe->posts && !stopping && cmd_pipe_is_lost(pipe);

    } while (!stopping && !pipe->lost);

    return 0;
}


/*
 * A server closes idle connections when it is restarted, or after a timeout.
 * Clients rely on this: a request in a lost session would fail.
 */

static int
cmd_pipe_is_lost(cmd_pipe_t *pipe)
{
    if (atls_outer_expired(pipe->outer)) {
        atls_fail(&pipe->failure, ATLS_ERROR_SESSION_LOST,
                  "the session has expired");
        return 1;
    }

    if (atls_outer_connection(pipe->outer) != ATLS_CONNECTION_LOST) {
        return 0;
    }

    pipe->posts++;

    return atls_outer_post(pipe->outer, NULL, 0, cmd_pipe_sink, pipe)
           != ATLS_OK;
}


/* Returns 0 at the end of the connection. */

static size_t
cmd_pipe_gather(cmd_stream_t *stream, char *buf)
{
    size_t   n, piece;
    ssize_t  got;

    n = 0;

    while (n < CMD_PIPE_SIZE
           && (got = cmd_stream_fill(stream, CMD_PIPE_GATHER)) > 0)
    {
        piece = (size_t) got < CMD_PIPE_SIZE - n ? (size_t) got
                                                 : CMD_PIPE_SIZE - n;
        memcpy(buf + n, stream->buf + stream->pos, piece);

        stream->pos += piece;
        n += piece;
    }

    return n;
}


static atls_error_e
cmd_pipe_sink(void *data, const unsigned char *bytes, size_t n)
{
    cmd_pipe_t  *pipe = data;

    struct iovec  piece;

    piece.iov_base = (void *) bytes;
    piece.iov_len = n;

    if (cmd_stream_write(pipe->stream, &piece, 1) == -1) {
        pipe->gone = 1;
        return ATLS_ERROR_ABORTED;
    }

    pipe->received += n;

    /* a client that closed only its output still receives the response */

    if (pipe->closed) {
        pipe->closed = atls_clock();
    }

    return ATLS_OK;
}


/*
 * After the client closed the connection, the POST in progress, usually with
 * close_notify, may take a few seconds, or longer while there are data.
 */

static int
cmd_pipe_wait(void *data)
{
    cmd_pipe_t  *pipe = data;

    if (pipe->closed == 0 && cmd_stream_gone(pipe->stream)) {
        pipe->closed = atls_clock();
    }

    if (pipe->closed && atls_clock() - pipe->closed > CMD_PIPE_CLOSED) {
        pipe->gone = 1;
    }

    return pipe->gone;
}


char *
cmd_pipe_summary(const cmd_pipe_t *pipe)
{
    return cmd_pipe_line(pipe->posts, pipe->sent, pipe->received, pipe->began,
                         pipe->failure.text);
}


char *
cmd_pipe_line(unsigned posts, uint64_t sent, uint64_t received, int64_t began,
    const char *error)
{
    return cmd_format("%u POST%s, %llu byte%s sent, %llu received, %.3f s%s%s",
                      posts, posts == 1 ? "" : "s",
                      (unsigned long long) sent, sent == 1 ? "" : "s",
                      (unsigned long long) received,
                      (double) (atls_clock() - began) / 1000,
                      *error ? ": " : "", error);
}
