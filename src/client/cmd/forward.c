
/*
 * atls forward, see forward.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "exitcode.h"
#include "forward.h"
#include "guard.h"
#include "options.h"
#include "pool.h"
#include "relay.h"
#include "serve.h"
#include "service.h"
#include "stop.h"
#include "util.h"


#define CMD_FORWARD_IDLE    75000       /* milliseconds, for idle connections */


typedef struct {
    cmd_options_t    options;
    atls_target_t    service;
    cmd_listen_t     listen;
    cmd_guard_t      guard;
    cmd_pool_t      *pool;
} cmd_forward_t;


static int cmd_forward_run(cmd_forward_t *forward);
static void cmd_forward_serve(void *data, cmd_stream_t *stream);
static int cmd_forward_request(cmd_forward_t *forward, cmd_stream_t *stream);
static void cmd_forward_answer(cmd_forward_t *forward, cmd_relay_t *relay,
    unsigned *session);
static void cmd_forward_pass(cmd_forward_t *forward, cmd_relay_t *relay,
    unsigned *session);
static void cmd_forward_log(const cmd_relay_t *relay, int64_t began,
    unsigned session);
static char *cmd_forward_escape(const char *path);


int
cmd_forward(int argc, char **argv)
{
    int            code;
    cmd_forward_t  forward;

    memset(&forward, 0, sizeof(cmd_forward_t));

    code = cmd_options_parse(&forward.options, CMD_FORWARD, argc, argv);

    if (code == CMD_OK && !forward.options.done) {
        code = cmd_forward_run(&forward);
    }

    cmd_listen_close(&forward.listen);
    atls_target_free(&forward.service);
    cmd_options_free(&forward.options);

    return code;
}


static int
cmd_forward_run(cmd_forward_t *forward)
{
    int             code;
    char           *host, *port;
    cmd_options_t  *options = &forward->options;

    code = cmd_service_parse(&forward->service, options->urls.items[0]);

    if (code == CMD_OK) {
        code = cmd_listen_split(options->listen, &host, &port);
        free(host);
        free(port);
    }

    if (code == CMD_OK) {
        code = cmd_stop_init();
    }

    if (code == CMD_OK) {
        code = cmd_pool_create(&forward->pool, forward->service.origin,
                               options);
    }

    if (code != CMD_OK) {
        return code;
    }

    forward->guard.hosts = &options->hosts;
    forward->guard.any = options->any_host;

    setvbuf(stdout, NULL, _IOLBF, 0);

    code = cmd_listen_open(&forward->listen, options->listen, options->silent);

    if (code == CMD_OK) {
        code = cmd_serve(&forward->listen, cmd_forward_serve, forward);
    }

    cmd_pool_free(forward->pool);

    return code;
}


static void
cmd_forward_serve(void *data, cmd_stream_t *stream)
{
    while (cmd_stream_wait_request(stream, CMD_FORWARD_IDLE)
           && cmd_forward_request(data, stream))
    {
        /* void */
    }
}


/* Returns whether the connection is kept alive. */

static int
cmd_forward_request(cmd_forward_t *forward, cmd_stream_t *stream)
{
    int          rc, keepalive;
    int64_t      began;
    unsigned     session;
    cmd_relay_t  relay;
    cmd_local_t  local;

    keepalive = 0;
    session = 0;
    began = atls_clock();

    rc = cmd_local_read(&local, stream);

    if (rc != 0) {
        cmd_relay_init(&relay, &local, stream, &forward->service,
                       forward->options.max_time
                       ? began + forward->options.max_time : 0);

        cmd_forward_answer(forward, &relay, &session);
        keepalive = cmd_relay_reusable(&relay);

        if (!forward->options.silent) {
            cmd_forward_log(&relay, began, session);
        }

        if (!keepalive && !relay.gone && !relay.broken) {
            cmd_stream_end(stream);
        }

        cmd_relay_free(&relay);
    }

    cmd_local_free(&local);

    return keepalive;
}


static void
cmd_forward_answer(cmd_forward_t *forward, cmd_relay_t *relay,
    unsigned *session)
{
    int                 fd;
    const cmd_local_t  *local = relay->local;

    fd = relay->stream->fd;

    if (local->status) {
        cmd_relay_reject(relay, local->status, local->error);

    } else if (strcmp(local->method, "CONNECT") == 0) {
        relay->answer.close = 1;
        cmd_relay_reject(relay, 405, "CONNECT is not supported, see atls "
                                     "proxy");

    } else if (!cmd_guard_host(&forward->guard, fd, local->host)) {
        cmd_relay_reject(relay, 421, "this Host is not allowed, see "
                                     "--allow-host");

    } else if (!cmd_guard_page(&forward->guard, fd, local->origin,
                               local->referer, local->site))
    {
        cmd_relay_reject(relay, 403, "requests from web pages are not allowed, "
                                     "see --allow-host");

    } else {
        cmd_forward_pass(forward, relay, session);
    }
}


static void
cmd_forward_pass(cmd_forward_t *forward, cmd_relay_t *relay,
    unsigned *session)
{
    cmd_session_t  *taken;

    taken = cmd_pool_take(forward->pool, relay->deadline);

    if (taken == NULL) {
        cmd_relay_reject(relay, 503, "no free session");
        return;
    }

    *session = taken->number;

    cmd_relay_perform(relay, taken->client);
    cmd_pool_give(forward->pool, taken);
}


/* The format: peer method path status bytes seconds session: error */

static void
cmd_forward_log(const cmd_relay_t *relay, int64_t began, unsigned session)
{
    char                *path, number[16];
    double               seconds;
    const cmd_answer_t  *answer = &relay->answer;

    path = cmd_forward_escape(relay->local->path);
    seconds = (double) (atls_clock() - began) / 1000;
    snprintf(number, sizeof(number), session ? "%u" : "-", session);

    printf("%s %s %s %03d %lld %.3f %s%s%s\n", relay->stream->peer,
           relay->local->method, path, answer->status,
           (long long) answer->sent, seconds, number,
           relay->error ? ": " : "", relay->error ? relay->error : "");

    free(path);
}


/* Escapes characters of the path that are unsafe for a terminal. */

static char *
cmd_forward_escape(const char *path)
{
    char  *copy, *p;

    copy = p = cmd_realloc(NULL, 4 * strlen(path) + 1);

    for ( /* void */ ; *path; path++) {
        p += sprintf(p, *path > ' ' && *path < 0x7f ? "%c" : "\\x%02X",
                     (unsigned char) *path);
    }

    *p = '\0';

    return copy;
}
