
/* Requests: atls_perform(), atls_connect() and atls_close(), see atls.h. */


#include <string.h>

#include "client.h"
#include "clock.h"
#include "dtls.h"
#include "exported.h"
#include "session.h"


#define ATLS_RECORD_EXPANSION   64          /* header, tag and reserve */
#define ATLS_RECORD_SIZE        SSL3_RT_MAX_PLAIN_LENGTH
#define ATLS_ABORT_TIME         1000        /* milliseconds */


static atls_error_e atls_exchange_enter(atls_client_t *client);
static void atls_exchange_leave(atls_client_t *client);
static int atls_exchange_repeatable(atls_client_t *client);
static atls_error_e atls_exchange_try(atls_client_t *client);
static void atls_exchange_begin(atls_client_t *client);
static atls_error_e atls_exchange_early(atls_client_t *client);
static atls_error_e atls_exchange_send(atls_client_t *client);
static atls_error_e atls_exchange_write(atls_client_t *client,
    const unsigned char *bytes, size_t n);
static size_t atls_exchange_room(const atls_client_t *client);
static int atls_exchange_answered(const atls_client_t *client);
static void atls_exchange_abort(atls_client_t *client);
static atls_error_e atls_exchange_end(atls_client_t *client, atls_error_e rc);
static atls_error_e atls_exchange_plain(void *data, const unsigned char *bytes,
    size_t n);


atls_error_e
atls_perform(atls_client_t *client, const atls_request_t *request)
{
    atls_error_e  rc;

    rc = atls_exchange_enter(client);
    if (rc != ATLS_OK) {
        return rc;
    }

    client->response.status = 0;
    client->posted = 0;

    rc = atls_message_open(&client->message, request,
                           client->target.authority, &client->failure);

    if (rc == ATLS_OK) {
        client->header_size = client->message.header.len;
        atls_outer_set_wait(client->outer, request->on_wait, request->data);

        rc = atls_exchange_try(client);

        if (rc != ATLS_OK && client->lost && atls_exchange_repeatable(client)) {
            atls_debug(&client->debug, ATLS_DEBUG_INNER,
                       "session lost, retrying: %s", client->failure.text);
            atls_failure_clear(&client->failure);

            rc = atls_exchange_try(client);
        }

        if (rc != ATLS_OK && client->lost && client->sending) {
            rc = atls_fail(&client->failure, ATLS_ERROR_SESSION_LOST, "%s",
                           client->failure.text);
        }

        atls_message_close(&client->message);
    }

    atls_exchange_leave(client);

    return rc;
}


atls_error_e
atls_connect(atls_client_t *client)
{
    int           tries;
    atls_error_e  rc;

    rc = atls_exchange_enter(client);
    if (rc != ATLS_OK) {
        return rc;
    }

    client->used = 0;
    client->sending = 0;
    client->posted = 0;

    rc = atls_session_check(client, 1);

    for (tries = 0; !client->open && tries < 2; tries++) {
        client->lost = 0;

        rc = atls_session_open(client, 0);

        /* with TLS 1.3, the last flight of the handshake is not sent yet */

        if (rc == ATLS_OK) {
            rc = atls_session_post(client);
            client->open = rc == ATLS_OK && !client->tls.closed;
        }

        if (!client->lost) {
            break;
        }
    }

    atls_exchange_leave(client);

    return rc;
}


void
atls_close(atls_client_t *client)
{
    if (client == NULL || client->busy) {
        return;
    }

    if (client->open && !atls_outer_expired(client->outer)) {
        client->deadline = 0;

        atls_tls_shutdown(&client->tls);
        atls_session_send_alert(client, atls_session_alert_deadline(client));
    }

    client->open = 0;
    atls_failure_clear(&client->failure);
}


/* Rejects calls from within a callback. */

static atls_error_e
atls_exchange_enter(atls_client_t *client)
{
    int64_t       timeout;
    atls_error_e  rc;

    if (client->busy) {
        return ATLS_ERROR_USAGE;
    }

    atls_failure_clear(&client->failure);

    rc = atls_client_prepare(client);

    if (rc == ATLS_OK) {
        client->busy = 1;
        client->began = atls_clock_us();
        client->tls.opened = 0;
        client->header_size = 0;
        client->tls.plain = atls_exchange_plain;

        timeout = client->numbers[ATLS_TIMEOUT];
        client->deadline = timeout ? atls_clock() + timeout : 0;
        atls_outer_set_deadline(client->outer, client->deadline);
        atls_outer_transfer_begin(client->outer);
    }

    return rc;
}


static void
atls_exchange_leave(atls_client_t *client)
{
    atls_outer_set_wait(client->outer, NULL, NULL);
    client->busy = 0;
}


static int
atls_exchange_repeatable(atls_client_t *client)
{
    return !client->sending
           || (atls_message_idempotent(&client->message)
               && !client->response.delivered
               && atls_message_rewind(&client->message) == 0);
}


static atls_error_e
atls_exchange_try(atls_client_t *client)
{
    atls_error_e  rc;

    client->used = client->open;
    client->lost = 0;
    client->sending = 0;

    if (client->numbers[ATLS_EXPORTED_KEYS]) {
        atls_exchange_begin(client);
        return atls_exported_perform(client);
    }

    rc = atls_session_check(client, atls_message_repeatable(&client->message));

    if (rc != ATLS_OK) {
        return rc;
    }

    atls_exchange_begin(client);

    if (client->numbers[ATLS_DTLS]) {
        return atls_dtls_perform(client);
    }

    rc = client->open ? ATLS_OK : atls_session_open(client, 1);

    if (rc == ATLS_OK && atls_tls_early_accepted(&client->tls)
        && !client->used)
    {
        rc = atls_exchange_early(client);

    } else if (rc == ATLS_OK) {
        rc = atls_exchange_send(client);
    }

    return atls_exchange_end(client, rc);
}


static void
atls_exchange_begin(atls_client_t *client)
{
    atls_response_begin(&client->response, client->message.request,
                        &client->debug,
                        (size_t) client->numbers[ATLS_HEADER_SIZE],
                        &client->failure);

    client->response.head = strcmp(client->message.method, "HEAD") == 0;
    client->response.upgrade = client->upgrade;
    client->sent = 0;
}


/*
 * The request was sent as early data.  The response may already be received,
 * but the last flight of the handshake must still be sent: the server waits for
 * it.
 */

static atls_error_e
atls_exchange_early(atls_client_t *client)
{
    atls_error_e      rc;
    atls_response_t  *response = &client->response;

    rc = atls_session_post(client);

    if (response->state == ATLS_RESPONSE_COMPLETE && !response->hidden) {

        if (rc != ATLS_OK) {
            response->close = 1;
            atls_failure_clear(&client->failure);
        }

        return ATLS_OK;
    }

    if (rc != ATLS_OK || !response->hidden) {
        return rc;
    }

    /* RFC 8470, section 5.2: after a 425, send it without early data */

    if (!atls_response_reusable(response) || client->tls.closed) {
        rc = atls_session_open(client, 0);
    }

    atls_exchange_begin(client);

    return rc == ATLS_OK ? atls_exchange_send(client) : rc;
}


/*
 * Sends the request in POSTs of limited size.  Responses are processed in
 * between.
 */

static atls_error_e
atls_exchange_send(atls_client_t *client)
{
    size_t           n;
    atls_error_e     rc;
    atls_message_t  *message;
    unsigned char    buf[ATLS_RECORD_SIZE];

    message = &client->message;

    client->sending = 1;
    client->sent = 0;
    client->response.too_early = 0;

    atls_debug_lines(&client->debug, ATLS_DEBUG_INNER_SENT,
                     message->header.data, message->header.len);

    rc = atls_exchange_write(client, message->header.data,
                             message->header.len);

    while (rc == ATLS_OK && !message->ended) {

        n = atls_exchange_room(client);

        if (n >= ATLS_MESSAGE_MIN) {
            rc = atls_message_read(message, buf, n, &n);

            if (rc == ATLS_OK && n) {
                rc = atls_exchange_write(client, buf, n);
                continue;
            }

            if (rc != ATLS_OK) {
                atls_exchange_abort(client);
                break;
            }
        }

        /* the POST is full, or no more data are available yet */

        rc = atls_session_post(client);

        if (rc != ATLS_OK || atls_exchange_answered(client)) {
            return rc;
        }
    }

    client->sent = rc == ATLS_OK;

    return rc == ATLS_OK ? atls_session_post(client) : rc;
}


static atls_error_e
atls_exchange_write(atls_client_t *client, const unsigned char *bytes,
    size_t n)
{
    size_t        piece;
    atls_error_e  rc;

    for (rc = ATLS_OK; n && rc == ATLS_OK; n -= piece) {

        piece = n < ATLS_RECORD_SIZE ? n : ATLS_RECORD_SIZE;

        rc = atls_tls_write(&client->tls, bytes, piece);

        if (rc == ATLS_OK) {
            rc = atls_tls_drain(&client->tls, &client->out);
        }

        bytes += piece;
    }

    return rc;
}


/* The maximum size of the next piece of the body in this POST. */

static size_t
atls_exchange_room(const atls_client_t *client)
{
    size_t  used, size;

    size = (size_t) client->numbers[ATLS_POST_SIZE];
    used = client->out.len + ATLS_RECORD_EXPANSION;

    if (used >= size) {
        return 0;
    }

    return size - used < ATLS_RECORD_SIZE ? size - used : ATLS_RECORD_SIZE;
}


/* Whether the response makes the rest of the request useless. */

static int
atls_exchange_answered(const atls_client_t *client)
{
    return client->tls.closed
           || (client->response.state == ATLS_RESPONSE_COMPLETE
               && (client->response.status >= 300 || client->response.close));
}


/*
 * The server has a part of the request, or an upgraded connection, and would
 * wait until a timeout, so an alert is sent, for a limited time, even if a
 * callback or a timeout aborted the request.
 */

static void
atls_exchange_abort(atls_client_t *client)
{
    if (!client->tls.closed) {
        atls_outer_set_wait(client->outer, NULL, NULL);
        atls_tls_shutdown(&client->tls);
        atls_session_send_alert(client, atls_clock() + ATLS_ABORT_TIME);
    }
}


static atls_error_e
atls_exchange_end(atls_client_t *client, atls_error_e rc)
{
    atls_response_t  *response = &client->response;

    client->open = 0;

    if (rc != ATLS_OK
        && !(rc == ATLS_ERROR_NETWORK && client->sent
             && response->state == ATLS_RESPONSE_COMPLETE))
    {
        if (rc == ATLS_ERROR_TLS || rc == ATLS_ERROR_CERTIFICATE
            || rc == ATLS_ERROR_PIN)
        {
            atls_session_send_alert(client,
                                    atls_session_alert_deadline(client));
        }

        if (rc == ATLS_ERROR_HTTP && response->status == 101) {
            atls_exchange_abort(client);
        }

        return rc;
    }

    if (rc != ATLS_OK) {

        /* the inner response is complete, only the outer one is not */

        atls_failure_clear(&client->failure);
        return ATLS_OK;
    }

    if (client->tls.closed) {
        atls_response_end(response);
    }

    if (response->state == ATLS_RESPONSE_UPGRADED) {
        return ATLS_OK;
    }

    if (response->state == ATLS_RESPONSE_COMPLETE) {
        client->open = client->sent && atls_response_reusable(response);
        return ATLS_OK;
    }

    if (response->status == 0 && response->lines.text.len == 0
        && client->tls.closed)
    {
        client->lost = 1;
        return atls_fail(&client->failure, ATLS_ERROR_TRUNCATED,
                         "the server closed the session without a response");
    }

    if (!client->tls.closed) {
        client->failure.fault = ATLS_FAULT_NO_BODY;
    }

    return atls_fail(&client->failure, ATLS_ERROR_TRUNCATED,
                     "%s ended within the response %s",
                     client->tls.closed ? "the session" : "the last POST",
                     response->status == 0 ? "header" : "body");
}


/* An atls_plain_pt: receives the plaintext of the session. */

static atls_error_e
atls_exchange_plain(void *data, const unsigned char *bytes, size_t n)
{
    atls_client_t  *client = data;

    if (!client->sending) {
        return atls_fail(&client->failure, ATLS_ERROR_HTTP,
                         "unexpected response data before a request");
    }

    return atls_response_parse(&client->response, bytes, n);
}
