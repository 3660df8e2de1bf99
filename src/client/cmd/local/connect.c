
/*
 * CONNECT requests of local programs, see connect.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/clock.h"
#include "../../lib/target.h"
#include "../base/exitcode.h"
#include "../base/host.h"
#include "../base/util.h"
#include "connect.h"
#include "direct.h"
#include "local.h"
#include "map.h"
#include "pipe.h"
#include "stop.h"


#define CMD_CONNECT_IDLE    75000           /* milliseconds, for idle
                                               connections */


typedef enum {
    CMD_CONNECT_ATLS = 0,
    CMD_CONNECT_DIRECT,
    CMD_CONNECT_REJECT
} cmd_connect_next_e;


typedef struct {
    const cmd_connect_t  *connect;
    cmd_stream_t         *stream;
    cmd_local_t           local;
    cmd_host_t            host;
    int64_t               began;
    unsigned              mapped:1;         /* by --map */
    unsigned              gone:1;           /* the client closed the
                                               connection */

    int                   status;           /* of an error response */
    char                 *error;            /* NULL: no error */
} cmd_connection_t;


static int cmd_connect_request(const cmd_connect_t *connect,
    cmd_stream_t *stream);
static int cmd_connect_check(cmd_connection_t *c);
static int cmd_connect_host(cmd_connection_t *c);
static void cmd_connect_open(cmd_connection_t *c);
static char *cmd_connect_endpoint(cmd_connection_t *c);
static cmd_connect_next_e cmd_connect_probe(cmd_connection_t *c,
    cmd_pipe_t *pipe);
static atls_error_e cmd_connect_sink(void *data, const unsigned char *bytes,
    size_t n);
static int cmd_connect_is_none(const cmd_pipe_t *pipe, atls_error_e error);
static char *cmd_connect_text(const cmd_connection_t *c, const cmd_pipe_t *pipe,
    atls_error_e error);
static int cmd_connect_status(const cmd_pipe_t *pipe, atls_error_e error);
static void cmd_connect_direct(cmd_connection_t *c);
static int cmd_connect_established(cmd_connection_t *c);
static void cmd_connect_fail(cmd_connection_t *c, int status,
    const char *error);
static int cmd_connect_reject(cmd_connection_t *c);
static void cmd_connect_log(const cmd_connection_t *c, const char *summary,
    const char *error);


void
cmd_connect_serve(void *data, cmd_stream_t *stream)
{
    while (cmd_stream_wait_request(stream, CMD_CONNECT_IDLE)
           && cmd_connect_request(data, stream))
    {
        /* void */
    }
}


/* Returns whether another request can follow: this one was rejected. */

static int
cmd_connect_request(const cmd_connect_t *connect, cmd_stream_t *stream)
{
    int               keepalive;
    cmd_connection_t  c;

    memset(&c, 0, sizeof(cmd_connection_t));
    c.connect = connect;
    c.stream = stream;
    c.began = atls_clock();

    keepalive = 0;

    if (cmd_local_read(&c.local, stream) != 0) {

        if (cmd_connect_check(&c) == 0) {
            cmd_connect_open(&c);
        }

        if (c.error) {
            cmd_connect_log(&c, NULL, c.error);
        }

        if (c.error && !c.gone) {
            keepalive = cmd_connect_reject(&c);
        }
    }

    free(c.error);
    cmd_local_free(&c.local);

    return keepalive;
}


/* Returns 0, or -1 if the request is to be rejected. */

static int
cmd_connect_check(cmd_connection_t *c)
{
    const cmd_local_t   *local = &c->local;
    const cmd_access_t  *access = c->connect->access;

    if (local->status) {
        cmd_connect_fail(c, local->status, local->error);

    } else if (access && !cmd_access_allowed(access, c->stream->fd,
                                             local->proxy_auth))
    {
        cmd_connect_fail(c, 407, "the credentials of atls run are required");

    } else if (strcmp(local->method, "CONNECT") != 0) {
        cmd_connect_fail(c, 501, "only CONNECT is supported, that is, https:// "
                                 "URLs");

    } else if (local->length != 0) {
        cmd_connect_fail(c, 400, "CONNECT must not have a body");

    } else if (cmd_connect_host(c) == -1) {
        cmd_connect_fail(c, 400, "invalid host or port");
    }

    return c->error ? -1 : 0;
}


/* RFC 9112, section 3.2.3: a port is required. */

static int
cmd_connect_host(cmd_connection_t *c)
{
    const char  *text = c->local.path;

    return cmd_host_parse(&c->host, text, strlen(text)) == 0
           && c->host.port > 0 ? 0 : -1;
}


static void
cmd_connect_open(cmd_connection_t *c)
{
    char                 *endpoint, *summary;
    cmd_pipe_t            pipe;
    cmd_connect_next_e    next;
    const cmd_options_t  *options = c->connect->options;

    endpoint = cmd_connect_endpoint(c);

    if (endpoint == NULL) {
        cmd_connect_fail(c, 400, "invalid host or port");
        return;
    }

    if (cmd_pipe_open(&pipe, options, endpoint, c->stream) == 0) {
        next = cmd_connect_probe(c, &pipe);

    } else {
        next = CMD_CONNECT_REJECT;
        cmd_connect_fail(c, 500, pipe.failure.text);
    }

    if (next == CMD_CONNECT_ATLS && cmd_connect_established(c) == 0) {
        cmd_pipe_run(&pipe);
        c->gone = pipe.gone;

        summary = cmd_pipe_summary(&pipe);
        cmd_connect_log(c, summary, pipe.failure.text);
        free(summary);
    }

    cmd_pipe_close(&pipe);
    free(endpoint);

    if (next == CMD_CONNECT_DIRECT) {
        cmd_connect_direct(c);
    }
}


/* Returns NULL if the host is invalid. */

static char *
cmd_connect_endpoint(cmd_connection_t *c)
{
    char            *url, *endpoint;
    const char      *mapped;
    atls_target_t    target;
    atls_failure_t   failure;

    mapped = cmd_map_find(c->connect->options, &c->host);

    if (mapped) {
        c->mapped = 1;
        return cmd_copy(mapped, strlen(mapped));
    }

    memset(&target, 0, sizeof(atls_target_t));
    atls_failure_clear(&failure);

    url = cmd_format(strchr(c->host.name, ':') ? "https://[%s]:%d"
                                               : "https://%s:%d",
                     c->host.name, c->host.port);

    endpoint = atls_target_parse(&target, url, &failure) == ATLS_OK
               ? cmd_copy(target.endpoint, strlen(target.endpoint)) : NULL;

    atls_target_free(&target);
    free(url);

    return endpoint;
}


/*
 * Sends an empty POST before CONNECT is answered, since a program shows no
 * other response.  An endpoint rejects it with a problem document of ATLS.
 */

static cmd_connect_next_e
cmd_connect_probe(cmd_connection_t *c, cmd_pipe_t *pipe)
{
    int            status;
    char          *text;
    atls_error_e   error;

    error = atls_outer_post(pipe->outer, NULL, 0, cmd_connect_sink, NULL);
    status = atls_outer_status(pipe->outer);

    if (pipe->gone) {
        c->gone = 1;
        cmd_connect_fail(c, 0, "local client closed the connection");
        return CMD_CONNECT_REJECT;
    }

    if (atls_outer_is_endpoint(pipe->outer) && status < 500 && status != 429) {
        atls_failure_clear(&pipe->failure);
        return CMD_CONNECT_ATLS;
    }

    if (c->connect->options->direct && !c->mapped
        && cmd_connect_is_none(pipe, error))
    {
        return CMD_CONNECT_DIRECT;
    }

    text = cmd_connect_text(c, pipe, error);
    cmd_connect_fail(c, cmd_connect_status(pipe, error), text);
    free(text);

    return CMD_CONNECT_REJECT;
}


static atls_error_e
cmd_connect_sink(void *data, const unsigned char *bytes, size_t n)
{
    (void) data;
    (void) bytes;
    (void) n;

    return ATLS_OK;
}


/*
 * Whether a host was reached and has no ATLS.  Other errors, and statuses of
 * temporary failures, do not show this.
 */

static int
cmd_connect_is_none(const cmd_pipe_t *pipe, atls_error_e error)
{
    int  status;

    status = atls_outer_status(pipe->outer);

    switch (error) {

    case ATLS_ERROR_OUTER_STATUS:
        return !atls_outer_is_endpoint(pipe->outer) && status != 429
               && status != 502 && status != 503 && status != 504;

    case ATLS_ERROR_REDIRECT:
    case ATLS_ERROR_MEDIA_TYPE:
    case ATLS_ERROR_OUTER_TLS:
    case ATLS_ERROR_NETWORK:
        return 1;

    default:
        return 0;
    }
}


static char *
cmd_connect_text(const cmd_connection_t *c, const cmd_pipe_t *pipe,
    atls_error_e error)
{
    const char  *text = pipe->failure.text;

    if (atls_outer_status(pipe->outer) == 0
        || !cmd_connect_is_none(pipe, error))
    {
        return cmd_format("%s: %s", atls_strerror(error), text);
    }

    return cmd_format("%s does not support ATLS: %s%s", c->host.name, text,
                      c->mapped ? "" : ", see --direct");
}


static int
cmd_connect_status(const cmd_pipe_t *pipe, atls_error_e error)
{
    switch (error) {

    case ATLS_ERROR_TIMEOUT:
        return 504;

    case ATLS_ERROR_USAGE:
    case ATLS_ERROR_MEMORY:
        return 500;

    default:
        return atls_outer_is_endpoint(pipe->outer) ? 503 : 502;
    }
}


static void
cmd_connect_direct(cmd_connection_t *c)
{
    char          *summary;
    cmd_direct_t   direct;

    if (cmd_direct_open(&direct, c->connect->options, &c->host, c->stream)
        == -1)
    {
        c->gone = direct.gone;
        cmd_connect_fail(c, direct.failure.error == ATLS_ERROR_TIMEOUT
                            ? 504 : 502, direct.failure.text);

    } else if (cmd_connect_established(c) == 0) {
        cmd_direct_run(&direct);

        summary = cmd_direct_summary(&direct);
        cmd_connect_log(c, summary, "");
        free(summary);
    }

    cmd_direct_close(&direct);
}


/* Returns -1 if the client closed the connection. */

static int
cmd_connect_established(cmd_connection_t *c)
{
    struct iovec  piece;

    static char  answer[] = "HTTP/1.1 200 Connection established\r\n\r\n";

    piece.iov_base = answer;
    piece.iov_len = sizeof(answer) - 1;

    if (cmd_stream_write(c->stream, &piece, 1) == 0) {
        return 0;
    }

    c->gone = 1;
    cmd_connect_fail(c, 0, "local client closed the connection");

    return -1;
}


static void
cmd_connect_fail(cmd_connection_t *c, int status, const char *error)
{
    c->status = status;
    c->error = cmd_copy(error, strlen(error));
}


/*
 * Sends an error response.  Many programs show only the reason phrase of a
 * rejected CONNECT, if anything.  Returns whether another request can follow.
 */

static int
cmd_connect_reject(cmd_connection_t *c)
{
    int            keepalive;
    char          *header, *body;
    struct iovec   pieces[2];

    keepalive = c->local.keepalive && c->local.length == 0 && !cmd_stopping();

    body = cmd_format("atls: %s\n", c->error);
    header = cmd_format("HTTP/1.1 %d %s\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Length: %zu\r\n"
                        "%s"
                        "Connection: %s\r\n"
                        "\r\n",
                        c->status, c->error, strlen(body),
                        c->status == 407
                        ? "Proxy-Authenticate: Basic realm=\"atls\"\r\n" : "",
                        keepalive ? "keep-alive" : "close");

    pieces[0].iov_base = header;
    pieces[0].iov_len = strlen(header);
    pieces[1].iov_base = body;
    pieces[1].iov_len = strcmp(c->local.method, "HEAD") == 0 ? 0 : strlen(body);

    if (cmd_stream_write(c->stream, pieces, 2) == -1) {
        keepalive = 0;

    } else if (!keepalive) {
        cmd_stream_end(c->stream);
    }

    free(header);
    free(body);

    return keepalive;
}


/*
 * The format: peer host:port summary; for a rejected request, the summary is
 * the status, the time in seconds and the error.
 */

static void
cmd_connect_log(const cmd_connection_t *c, const char *summary,
    const char *error)
{
    char  *text;

    text = cmd_copy(c->local.path, strlen(c->local.path));
    atls_printable(text);

    if (!c->connect->log) {
        if (*error && !c->gone) {
            cmd_warn("%s: %s", text, error);
        }

    } else if (summary) {
        printf("%s %s %s\n", c->stream->peer, text, summary);

    } else {
        printf("%s %s %03d %.3f s: %s\n", c->stream->peer, text, c->status,
               (double) (atls_clock() - c->began) / 1000, error);
    }

    free(text);
}
