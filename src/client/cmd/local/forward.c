
/*
 * atls forward, see forward.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/clock.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../options/client.h"
#include "../options/options.h"
#include "../options/via.h"
#include "forward.h"
#include "guard.h"
#include "pool.h"
#include "relay.h"
#include "serve.h"
#include "service.h"
#include "services.h"
#include "stop.h"


#define CMD_FORWARD_IDLE    75000       /* milliseconds, for idle connections */


typedef struct {
    const cmd_options_t  *options;
    int                   several;      /* services of this process */
    atls_target_t         target;
    cmd_guard_t           guard;
    cmd_pool_t           *pool;
} cmd_forward_t;


typedef struct {
    cmd_forward_t        *items;
    cmd_port_t           *ports;
    size_t                n;
} cmd_forwards_t;


static int cmd_forward_several(const cmd_options_t *options,
    const cmd_list_t *args);
static int cmd_forward_run(const cmd_options_t *options, size_t n);
static int cmd_forward_open(cmd_forward_t *forward,
    const cmd_options_t *options);
static int cmd_forward_check(cmd_forward_t *forward);
static int cmd_forward_listen(cmd_forwards_t *forwards);
static void cmd_forward_free(cmd_forwards_t *forwards);
static void cmd_forward_serve(void *data, cmd_stream_t *stream);
static int cmd_forward_request(cmd_forward_t *forward, cmd_stream_t *stream,
    const cmd_host_t *address);
static void cmd_forward_answer(cmd_forward_t *forward, cmd_relay_t *relay,
    const cmd_host_t *address, unsigned *session);
static void cmd_forward_pass(cmd_forward_t *forward, cmd_relay_t *relay,
    unsigned *session);
static void cmd_forward_log(const cmd_forward_t *forward,
    const cmd_relay_t *relay, int64_t began, unsigned session);
static char *cmd_forward_escape(const char *path);


int
cmd_forward(int argc, char **argv)
{
    int            code;
    cmd_list_t     args;
    cmd_options_t  options;

    memset(&args, 0, sizeof(cmd_list_t));
    cmd_services_keep(&args, argc, argv);

    code = cmd_options_parse(&options, CMD_FORWARD, argc, argv);

    if (code == CMD_OK && !options.done) {
        code = options.services ? cmd_forward_several(&options, &args)
                                : cmd_forward_run(&options, 1);
    }

    cmd_services_free(&args);
    cmd_options_free(&options);

    return code;
}


static int
cmd_forward_several(const cmd_options_t *options, const cmd_list_t *args)
{
    int             code;
    size_t          i, n;
    cmd_options_t  *services;

    if (options->listen || options->urls.n) {
        return cmd_fail(CMD_USAGE, "--listen and the URL must be in the file "
                                   "of --services");
    }

    services = NULL;
    n = 0;

    code = cmd_services_read(options->services, args, &services, &n);

    if (code == CMD_OK) {
        code = cmd_forward_run(services, n);
    }

    for (i = 0; i < n; i++) {
        cmd_options_free(&services[i]);
    }

    free(services);

    return code;
}


static int
cmd_forward_run(const cmd_options_t *options, size_t n)
{
    int             code;
    cmd_forwards_t  forwards;

    forwards.items = cmd_alloc(n * sizeof(cmd_forward_t));
    forwards.ports = cmd_alloc(n * sizeof(cmd_port_t));

    code = CMD_OK;

    for (forwards.n = 0; code == CMD_OK && forwards.n < n; forwards.n++) {
        forwards.items[forwards.n].several = n > 1;
        code = cmd_forward_open(&forwards.items[forwards.n],
                                &options[forwards.n]);
    }

    if (code == CMD_OK) {
        code = cmd_stop_init();
    }

    setvbuf(stdout, NULL, _IOLBF, 0);

    if (code == CMD_OK) {
        code = cmd_forward_listen(&forwards);
    }

    if (code == CMD_OK) {
        code = cmd_serve(forwards.ports, n, cmd_forward_serve);
    }

    cmd_forward_free(&forwards);

    return code;
}


static int
cmd_forward_open(cmd_forward_t *forward, const cmd_options_t *options)
{
    int  code;

    forward->options = options;
    forward->guard.hosts = &options->hosts;

    /* web pages cannot make a browser connect to a UNIX-domain socket */

    forward->guard.any = options->any_host
                         || cmd_listen_is_unix(options->listen);

    code = cmd_service_parse(&forward->target, options->urls.items[0]);

    if (code == CMD_OK) {
        code = cmd_listen_check(options->listen);
    }

    if (code == CMD_OK) {
        code = cmd_pool_create(&forward->pool, forward->target.origin,
                               options);
    }

    return code == CMD_OK && !options->no_check ? cmd_forward_check(forward)
                                                : code;
}


/* Opens a session, which the first request uses. */

static int
cmd_forward_check(cmd_forward_t *forward)
{
    int            code;
    cmd_pooled_t  *session;

    session = cmd_pool_take(forward->pool, 0);

    if (session == NULL) {
        return CMD_MEMORY;
    }

    code = cmd_client_fail(session->client, atls_connect(session->client), 0);
    cmd_pool_give(forward->pool, session);

    return code == CMD_OK
           ? CMD_OK : cmd_fail(code, "no session with %s; to start anyway, use "
                                     "--no-check", forward->target.origin);
}


static int
cmd_forward_listen(cmd_forwards_t *forwards)
{
    int                   code;
    size_t                i;
    const cmd_options_t  *options;

    code = CMD_OK;

    for (i = 0; code == CMD_OK && i < forwards->n; i++) {
        options = forwards->items[i].options;

        forwards->ports[i].data = &forwards->items[i];
        code = cmd_listen_open(&forwards->ports[i].listen, options->listen,
                               options->silent);
    }

    return code;
}


static void
cmd_forward_free(cmd_forwards_t *forwards)
{
    size_t  i;

    for (i = 0; i < forwards->n; i++) {
        cmd_listen_close(&forwards->ports[i].listen);

        if (forwards->items[i].pool) {
            cmd_pool_free(forwards->items[i].pool);
        }

        atls_target_free(&forwards->items[i].target);
    }

    free(forwards->ports);
    free(forwards->items);
}


static void
cmd_forward_serve(void *data, cmd_stream_t *stream)
{
    cmd_host_t  address;

    cmd_guard_local(&address, stream->fd);

    while (cmd_stream_wait_request(stream, CMD_FORWARD_IDLE)
           && cmd_forward_request(data, stream, &address))
    {
        /* void */
    }
}


/* Returns whether the connection is kept alive. */

static int
cmd_forward_request(cmd_forward_t *forward, cmd_stream_t *stream,
    const cmd_host_t *address)
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
        cmd_relay_init(&relay, &local, stream, &forward->target,
                       forward->options->max_time
                       ? began + forward->options->max_time : 0);

        cmd_forward_answer(forward, &relay, address, &session);
        keepalive = cmd_relay_reusable(&relay);

        if (!forward->options->silent) {
            cmd_forward_log(forward, &relay, began, session);
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
    const cmd_host_t *address, unsigned *session)
{
    const cmd_local_t  *local = relay->local;

    if (local->status) {
        cmd_relay_reject(relay, local->status, local->error);

    } else if (strcmp(local->method, "CONNECT") == 0) {
        relay->answer.close = 1;
        cmd_relay_reject(relay, 405, "CONNECT is not supported, see atls "
                                     "proxy");

    } else if (local->upgrade && forward->options->via
               && cmd_via_is_coap(forward->options->via))
    {
        cmd_relay_reject(relay, 501, "WebSocket requires polls, which are not "
                                     "possible over CoAP");

    } else if (local->upgrade && forward->options->exported_keys) {
        cmd_relay_reject(relay, 501, "WebSocket is not possible with exported "
                                     "keys");

    } else if (local->upgrade && forward->options->dtls) {
        cmd_relay_reject(relay, 501, "WebSocket is not possible with DTLS");

    } else if ((forward->options->exported_keys || forward->options->dtls)
               && local->length > forward->options->post_size
               && forward->options->post_size != -1)
    {
        cmd_relay_reject(relay, 413, "requests with exported keys, or DTLS, "
                                     "are limited by --post-size");

    } else if (!cmd_guard_host(&forward->guard, address, local->host)) {
        cmd_relay_reject(relay, 421, "this Host is not allowed, see "
                                     "--allow-host");

    } else if (!cmd_guard_page(&forward->guard, address, local->origin,
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
    cmd_pooled_t  *taken;

    taken = cmd_pool_take(forward->pool, relay->deadline);

    if (taken == NULL) {
        cmd_relay_reject(relay, 503, "no free session");
        return;
    }

    *session = taken->number;

    cmd_relay_perform(relay, taken->client);
    cmd_pool_give(forward->pool, taken);
}


/*
 * The format: peer method path status bytes seconds session: error.  If there
 * are several services, the path begins with the service.
 */

static void
cmd_forward_log(const cmd_forward_t *forward, const cmd_relay_t *relay,
    int64_t began, unsigned session)
{
    char                *path, number[16];
    double               seconds;
    const cmd_answer_t  *answer = &relay->answer;

    path = cmd_forward_escape(relay->local->path);
    seconds = (double) (atls_clock() - began) / 1000;
    snprintf(number, sizeof(number), session ? "%u" : "-", session);

    printf("%s %s %s%s%s %03d %lld %.3f %s%s%s\n", relay->stream->peer,
           relay->local->method, forward->several ? "https://" : "",
           forward->several ? forward->target.authority : "", path,
           answer->status, (long long) answer->sent, seconds, number,
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
