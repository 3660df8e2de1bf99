
/*
 * Forwarding of a request, see relay.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../../lib/clock.h"
#include "../../lib/upgrade.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../options/client.h"
#include "relay.h"
#include "stop.h"


#define CMD_RELAY_CHECK     1000        /* milliseconds */

/*
 * Request data are collected to save POSTs.  They are sent if there are no more
 * data for a moment, or if collecting takes too long.
 */

#define CMD_RELAY_PAUSE     100
#define CMD_RELAY_DELAY     1000


static atls_error_e cmd_relay_send(cmd_relay_t *relay, atls_client_t *client);
static atls_error_e cmd_relay_upgraded(cmd_relay_t *relay,
    atls_client_t *client);
static long cmd_relay_read(void *data, void *buf, size_t size);
static int cmd_relay_is_slow(cmd_relay_t *relay);
static int cmd_relay_status(void *data, int status, const char *reason);
static int cmd_relay_header(void *data, const char *name, const char *value);
static int cmd_relay_body(void *data, const void *bytes, size_t n);
static int cmd_relay_wait(void *data);
static int cmd_relay_sent(cmd_relay_t *relay, int rc);
static void cmd_relay_close(cmd_relay_t *relay);
static void cmd_relay_fail(cmd_relay_t *relay, atls_client_t *client,
    atls_error_e error);
static int cmd_relay_error_status(const cmd_relay_t *relay, atls_error_e error,
    const atls_outer_info_t *info);


void
cmd_relay_init(cmd_relay_t *relay, const cmd_local_t *local,
    cmd_stream_t *stream, const atls_target_t *service, int64_t deadline)
{
    memset(relay, 0, sizeof(cmd_relay_t));

    relay->local = local;
    relay->stream = stream;
    relay->deadline = deadline;
    relay->checked = atls_clock();

    cmd_body_init(&relay->body, local, stream);
    relay->body.deadline = deadline;

    cmd_answer_init(&relay->answer, local, stream, service);
}


void
cmd_relay_free(cmd_relay_t *relay)
{
    cmd_answer_free(&relay->answer);
    free(relay->error);
}


void
cmd_relay_perform(cmd_relay_t *relay, atls_client_t *client)
{
    atls_error_e  rc;

    /* the client may have closed the connection while waiting for a session */

    rc = cmd_relay_wait(relay) == 0 ? cmd_relay_send(relay, client)
                                    : ATLS_ERROR_ABORTED;

    if (rc == ATLS_OK && atls_upgraded(client)) {
        rc = cmd_relay_upgraded(relay, client);
    }

    if (rc == ATLS_OK) {
        cmd_relay_close(relay);
        cmd_relay_sent(relay, cmd_answer_end(&relay->answer));

        if (!relay->gone) {
            return;
        }
    }

    cmd_relay_fail(relay, client, rc);
}


static atls_error_e
cmd_relay_send(cmd_relay_t *relay, atls_client_t *client)
{
    atls_request_t      request;
    const cmd_local_t  *local = relay->local;

    memset(&request, 0, sizeof(atls_request_t));

    request.method = local->method;
    request.path = local->path;
    request.headers = local->headers.items;
    request.nheaders = local->headers.n;
    request.on_status = cmd_relay_status;
    request.on_header = cmd_relay_header;
    request.on_body = cmd_relay_body;
    request.on_wait = cmd_relay_wait;
    request.data = relay;

    if (local->length != 0) {
        request.body = ATLS_BODY_READ;
        request.read = cmd_relay_read;
        request.length = local->length;

        relay->unsent = atls_clock();
    }

    return local->upgrade ? atls_upgrade(client, &request)
                          : atls_perform(client, &request);
}


/* Both sides may send at any time, until one of them closes. */

static atls_error_e
cmd_relay_upgraded(cmd_relay_t *relay, atls_client_t *client)
{
    atls_error_e  rc;

    static const cmd_pump_type_t  type = {
        atls_upgraded_seal,
        atls_upgraded_poll,
        atls_upgraded_close,
        atls_upgraded_receive,
        atls_upgraded_closed
    };

    rc = ATLS_OK;

    if (cmd_relay_sent(relay, cmd_answer_begin(&relay->answer)) == 0) {

        atls_upgraded_open(client, cmd_pump_receive, &relay->pump);

        rc = cmd_pump_run(&relay->pump, &type, client, relay->stream,
                          atls_upgraded_retry(client));

        relay->gone = relay->pump.gone;
        relay->answer.sent += (int64_t) relay->pump.received;
    }

    atls_upgraded_end(client);

    return rc;
}


static long
cmd_relay_read(void *data, void *buf, size_t size)
{
    cmd_relay_t  *relay = data;

    long  n;

    if (!relay->body.ended && cmd_relay_is_slow(relay)) {
        relay->unsent = 0;
        return ATLS_READ_FLUSH;
    }

    n = cmd_body_read(&relay->body, buf, size);

    if (n == -1) {
        relay->gone = relay->body.status == 0;
    }

    if (n > 0 && relay->unsent == 0) {
        relay->unsent = atls_clock();
    }

    return n;
}


static int
cmd_relay_is_slow(cmd_relay_t *relay)
{
    return relay->unsent
           && (!cmd_stream_wait(relay->stream, CMD_RELAY_PAUSE)
               || atls_clock() - relay->unsent > CMD_RELAY_DELAY);
}


static int
cmd_relay_status(void *data, int status, const char *reason)
{
    cmd_relay_t  *relay = data;

    cmd_answer_status(&relay->answer, status, reason);

    return 0;
}


static int
cmd_relay_header(void *data, const char *name, const char *value)
{
    cmd_relay_t  *relay = data;

    cmd_answer_header(&relay->answer, name, value);

    return 0;
}


static int
cmd_relay_body(void *data, const void *bytes, size_t n)
{
    cmd_relay_t  *relay = data;

    cmd_relay_close(relay);

    return cmd_relay_sent(relay, cmd_answer_body(&relay->answer, bytes, n));
}


/*
 * Called during POSTs: checks the deadline and the connection, and sends the
 * response header if there is no body yet.
 */

static int
cmd_relay_wait(void *data)
{
    cmd_relay_t  *relay = data;

    int64_t  now;

    now = atls_clock();
    relay->unsent = 0;                  /* a POST is in progress */

    if (relay->deadline && now > relay->deadline) {
        relay->timed_out = 1;
        return 1;
    }

    /* a client may shut down its output after the request */

    if (now - relay->checked >= CMD_RELAY_CHECK) {
        relay->checked = now;

        if (cmd_stream_gone(relay->stream)
            && !cmd_stream_pending(relay->stream))
        {
            relay->gone = 1;
            return 1;
        }
    }

    if (relay->answer.status && !relay->answer.begun) {
        cmd_relay_close(relay);
        return cmd_relay_sent(relay, cmd_answer_begin(&relay->answer));
    }

    return 0;
}


static int
cmd_relay_sent(cmd_relay_t *relay, int rc)
{
    if (rc == -1) {
        relay->gone = 1;
    }

    return rc;
}


/*
 * Disables keep-alive before the response header is sent if the request body
 * was not read completely, or if the server is being stopped and no further
 * request was received.
 */

static void
cmd_relay_close(cmd_relay_t *relay)
{
    if (!relay->answer.begun
        && (!relay->body.ended
            || (cmd_stopping() && !cmd_stream_pending(relay->stream))))
    {
        relay->answer.close = 1;
    }
}


static void
cmd_relay_fail(cmd_relay_t *relay, atls_client_t *client, atls_error_e error)
{
    int                 status, doubt;
    atls_outer_info_t   info;
    const char         *text;

    if (relay->gone) {
        relay->error = cmd_copy("local client closed the connection", 34);
        cmd_stream_reset(relay->stream);
        return;
    }

    /* further calls clear the text */

    text = atls_error_text(client);
    doubt = cmd_client_may_be_processed(client, error, cmd_client_code(error));

    relay->error = relay->timed_out
                   ? cmd_copy("maximum time exceeded", 21)
                   : relay->body.status
                   ? cmd_copy(relay->body.error, strlen(relay->body.error))
                   : cmd_format("%s%s%s%s", atls_strerror(error),
                                *text ? ": " : "", text,
                                doubt ? CMD_DOUBT : "");

    if (relay->answer.begun) {
        relay->broken = 1;
        cmd_stream_reset(relay->stream);
        return;
    }

    memset(&info, 0, sizeof(atls_outer_info_t));
    (void) atls_get_outer(client, &info);

    /* a 503 would suggest that the request can be repeated */

    status = cmd_relay_error_status(relay, error, &info);

    if (status == 503 && doubt) {
        status = 502;
    }

    cmd_relay_close(relay);
    cmd_relay_sent(relay, cmd_answer_error(&relay->answer, status,
                                           relay->error, status == 503
                                           ? info.retry_after : 0));
}


static int
cmd_relay_error_status(const cmd_relay_t *relay, atls_error_e error,
    const atls_outer_info_t *info)
{
    if (relay->body.status) {
        return relay->body.status;
    }

    if (relay->timed_out) {
        return 504;
    }

    switch (error) {

    case ATLS_ERROR_TIMEOUT:
        return 504;

    case ATLS_ERROR_OUTER_STATUS:
        return info->status == 503 || info->status == 429 ? 503 : 502;

    case ATLS_ERROR_USAGE:
    case ATLS_ERROR_TRUST:
    case ATLS_ERROR_IDENTITY:
    case ATLS_ERROR_CIPHERS:
    case ATLS_ERROR_MEMORY:
        return 500;

    default:
        return 502;
    }
}


void
cmd_relay_reject(cmd_relay_t *relay, int status, const char *text)
{
    relay->error = cmd_copy(text, strlen(text));

    cmd_relay_close(relay);
    cmd_relay_sent(relay, cmd_answer_error(&relay->answer, status, text, 0));
}


int
cmd_relay_reusable(const cmd_relay_t *relay)
{
    return !relay->gone && !relay->broken && !relay->answer.close;
}
