
/*
 * atls tunnel, see tunnel.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/outer.h"
#include "exitcode.h"
#include "options.h"
#include "route.h"
#include "serve.h"
#include "service.h"
#include "stop.h"
#include "tunnel.h"
#include "util.h"
#include "verbose.h"


#define CMD_TUNNEL_SIZE     (1024 * 1024)   /* maximum size of a POST's body */

/*
 * Milliseconds to wait for more records of a flight: clients may write them one
 * by one.
 */

#define CMD_TUNNEL_GATHER   2

#define CMD_TUNNEL_IDLE     300000          /* milliseconds, as in atls.h */
#define CMD_TUNNEL_CLOSED   3000            /* timeout after the client
                                               closed */
#define CMD_TUNNEL_ALERT    32              /* maximum size of an alert */


typedef struct {
    cmd_options_t    options;
    atls_target_t    service;
    cmd_listen_t     listen;
} cmd_tunnel_t;


typedef struct {
    cmd_stream_t    *stream;
    unsigned         gone:1;                /* the session is aborted */
    int64_t          closed;                /* when the client closed; 0:
                                               open */
    unsigned         posts;
    uint64_t         sent;
    uint64_t         received;
} cmd_pipe_t;


static int cmd_tunnel_run(cmd_tunnel_t *tunnel);
static int cmd_tunnel_try(const cmd_tunnel_t *tunnel);
static void cmd_tunnel_serve(void *data, cmd_stream_t *stream);
static atls_outer_t *cmd_tunnel_outer(const cmd_tunnel_t *tunnel,
    char *tag, atls_failure_t *failure);
static void cmd_tunnel_pipe(cmd_pipe_t *pipe, atls_outer_t *outer, char *buf,
    atls_failure_t *failure);
static size_t cmd_tunnel_gather(cmd_stream_t *stream, char *buf);
static atls_error_e cmd_tunnel_sink(void *data, const unsigned char *bytes,
    size_t n);
static int cmd_tunnel_wait(void *data);


int
cmd_tunnel(int argc, char **argv)
{
    int           code;
    cmd_tunnel_t  tunnel;

    memset(&tunnel, 0, sizeof(cmd_tunnel_t));

    code = cmd_options_parse(&tunnel.options, CMD_TUNNEL, argc, argv);

    if (code == CMD_OK && !tunnel.options.done) {
        code = cmd_tunnel_run(&tunnel);
    }

    cmd_listen_close(&tunnel.listen);
    atls_target_free(&tunnel.service);
    cmd_options_free(&tunnel.options);

    return code;
}


static int
cmd_tunnel_run(cmd_tunnel_t *tunnel)
{
    int             code;
    cmd_options_t  *options = &tunnel->options;

    code = cmd_service_parse(&tunnel->service, options->urls.items[0]);

    if (code == CMD_OK) {
        code = cmd_tunnel_try(tunnel);
    }

    if (code == CMD_OK) {
        code = cmd_stop_init();
    }

    setvbuf(stdout, NULL, _IOLBF, 0);

    if (code == CMD_OK) {
        code = cmd_listen_open(&tunnel->listen, options->listen,
                               options->silent);
    }

    return code == CMD_OK
           ? cmd_serve(&tunnel->listen, cmd_tunnel_serve, tunnel) : code;
}


/* Creates an outer connection to detect invalid options at the start. */

static int
cmd_tunnel_try(const cmd_tunnel_t *tunnel)
{
    atls_outer_t    *outer;
    atls_failure_t   failure;

    outer = cmd_tunnel_outer(tunnel, NULL, &failure);
    atls_outer_free(outer);

    return outer ? CMD_OK : cmd_fail(failure.error == ATLS_ERROR_MEMORY
                                     ? CMD_MEMORY : CMD_USAGE, "%s",
                                     failure.text);
}


static void
cmd_tunnel_serve(void *data, cmd_stream_t *stream)
{
    cmd_tunnel_t  *tunnel = data;

    char            *buf, tag[CMD_LISTEN_NAME + 1];
    int64_t          began;
    cmd_pipe_t       pipe;
    atls_outer_t    *outer;
    atls_failure_t   failure;

    memset(&pipe, 0, sizeof(cmd_pipe_t));
    pipe.stream = stream;
    began = atls_clock();

    snprintf(tag, sizeof(tag), "%s ", stream->peer);

    outer = cmd_tunnel_outer(tunnel, tag, &failure);

    if (outer) {
        atls_outer_set_wait(outer, cmd_tunnel_wait, &pipe);

        buf = cmd_realloc(NULL, CMD_TUNNEL_SIZE);
        cmd_tunnel_pipe(&pipe, outer, buf, &failure);
        free(buf);
    }

    if (pipe.gone) {
        snprintf(failure.text, sizeof(failure.text),
                 "local client closed the connection");
    }

    if (!tunnel->options.silent) {
        printf("%s %u POSTs, %llu bytes sent, %llu received, %.3f s%s%s\n",
               stream->peer, pipe.posts, (unsigned long long) pipe.sent,
               (unsigned long long) pipe.received,
               (double) (atls_clock() - began) / 1000,
               *failure.text ? ": " : "", failure.text);
    }

    if (*failure.text) {
        cmd_stream_reset(stream);

    } else {
        cmd_stream_end(stream);
    }

    atls_outer_free(outer);
}


static atls_outer_t *
cmd_tunnel_outer(const cmd_tunnel_t *tunnel, char *tag,
    atls_failure_t *failure)
{
    atls_outer_conf_t     conf;
    const cmd_options_t  *options = &tunnel->options;

    memset(&conf, 0, sizeof(atls_outer_conf_t));
    atls_failure_clear(failure);

    conf.url = options->via ? options->via : tunnel->service.endpoint;
    conf.user = options->via_user;
    conf.headers = (const char *const *) options->via_headers.items;
    conf.idle_timeout = CMD_TUNNEL_IDLE;

    cmd_route(&conf.route, options);

    if (options->verbose) {
        conf.debug.handler = cmd_verbose;
        conf.debug.data = tag;
    }

    return atls_outer_create(&conf, failure);
}


/* Runs until the client closes the connection or a POST fails. */

static void
cmd_tunnel_pipe(cmd_pipe_t *pipe, atls_outer_t *outer, char *buf,
    atls_failure_t *failure)
{
    size_t         n;
    cmd_stream_t  *stream = pipe->stream;

    while (cmd_stream_wait_request(stream, -1)) {

        n = cmd_tunnel_gather(stream, buf);

        if (n == 0) {
            return;
        }

        pipe->posts++;
        pipe->sent += n;

        if (atls_outer_post(outer, buf, n, cmd_tunnel_sink, pipe) == ATLS_OK) {
            continue;
        }

        /* after the server closed the session, close_notify gets 410 */

        if (n < CMD_TUNNEL_ALERT && atls_outer_status(outer) == 410) {
            atls_failure_clear(failure);
        }

        return;
    }
}


/* Returns 0 at the end of the connection. */

static size_t
cmd_tunnel_gather(cmd_stream_t *stream, char *buf)
{
    size_t   n, piece;
    ssize_t  got;

    n = 0;

    while (n < CMD_TUNNEL_SIZE
           && (got = cmd_stream_fill(stream, CMD_TUNNEL_GATHER)) > 0)
    {
        piece = (size_t) got < CMD_TUNNEL_SIZE - n ? (size_t) got
                                                   : CMD_TUNNEL_SIZE - n;
        memcpy(buf + n, stream->buf + stream->pos, piece);

        stream->pos += piece;
        n += piece;
    }

    return n;
}


static atls_error_e
cmd_tunnel_sink(void *data, const unsigned char *bytes, size_t n)
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

    return ATLS_OK;
}


/*
 * After the client closed the connection, the POST in progress, usually with
 * close_notify, may take a few seconds.
 */

static int
cmd_tunnel_wait(void *data)
{
    cmd_pipe_t  *pipe = data;

    if (pipe->closed == 0 && cmd_stream_gone(pipe->stream)) {
        pipe->closed = atls_clock();
    }

    if (pipe->closed && atls_clock() - pipe->closed > CMD_TUNNEL_CLOSED) {
        pipe->gone = 1;
    }

    return pipe->gone;
}
