
/*
 * The session of a client, see session.h.
 */


#include "client.h"
#include "clock.h"
#include "fault.h"
#include "session.h"


#define ATLS_MAX_FLIGHTS        10          /* POSTs in a handshake */
#define ATLS_MAX_STORED         8           /* stored sessions to try */
#define ATLS_CLOSE_TIME         5000        /* milliseconds */

/* DTLS: milliseconds before a flight is sent again, and their growth */

#define ATLS_FLIGHT_PAUSE       50
#define ATLS_FLIGHT_GROWTH      3

/*
 * Milliseconds for which a session is considered to exist after a POST: if the
 * connection was kept alive, so that a restart of the server is noticed unless
 * there is a middlebox; and if it was not, less than a restart takes.
 */

#define ATLS_SESSION_SURE       2000
#define ATLS_SESSION_SURE_NEW   10


static int atls_session_is_sure(const atls_client_t *client);
static atls_error_e atls_session_probe(atls_client_t *client);
static void atls_session_take(atls_client_t *client, atls_resume_t *resume);
static atls_error_e atls_session_early(atls_client_t *client);
static atls_error_e atls_session_handshake(atls_client_t *client);
static atls_error_e atls_session_flight(atls_client_t *client);
static atls_error_e atls_session_again(atls_client_t *client, int64_t pause);
static atls_error_e atls_session_send(atls_client_t *client, const void *bytes,
    size_t n);
static int atls_session_missing(void *data);
static atls_error_e atls_session_sink(void *data, const unsigned char *bytes,
    size_t n);
static atls_error_e atls_session_ignore(void *data, const unsigned char *bytes,
    size_t n);


atls_error_e
atls_session_check(atls_client_t *client, int repeatable)
{
    if (!client->open) {
        return ATLS_OK;
    }

    if (atls_outer_expired(client->outer)) {
        atls_debug(&client->debug, ATLS_DEBUG_INNER,
                   "session expired, opening a new one");
        client->open = 0;

        return ATLS_OK;
    }

    return repeatable || atls_session_is_sure(client)
           ? ATLS_OK : atls_session_probe(client);
}


static int
atls_session_is_sure(const atls_client_t *client)
{
    int64_t  idle;

    if (client->doubted) {
        return 0;
    }

    idle = atls_clock() - client->seen;

    switch (atls_outer_connection(client->outer)) {

    case ATLS_CONNECTION_KEPT:
        return idle < ATLS_SESSION_SURE;

    case ATLS_CONNECTION_NONE:
        return idle < ATLS_SESSION_SURE_NEW;

    default: /* ATLS_CONNECTION_LOST */
        return 0;
    }
}


/*
 * An empty POST is answered at once.  The response may be forged: this costs a
 * handshake, or the request fails as it would without the probe.
 *
 * A new session is also opened after other errors, as a middlebox may reject
 * empty POSTs.
 */

static atls_error_e
atls_session_probe(atls_client_t *client)
{
    atls_error_e  rc;

    atls_debug(&client->debug, ATLS_DEBUG_INNER,
               "session was idle, checking it with an empty POST");

    rc = atls_session_send(client, NULL, 0);

    switch (rc) {

    case ATLS_OK:
        if (!client->tls.closed) {
            return ATLS_OK;
        }

        break;

    case ATLS_ERROR_OUTER_STATUS:
        if (atls_outer_status(client->outer) == 503
            && atls_outer_is_endpoint(client->outer))
        {
            return rc;                  /* overloaded: the session continues */
        }

        break;

    case ATLS_ERROR_HTTP:
    case ATLS_ERROR_MEDIA_TYPE:
    case ATLS_ERROR_NETWORK:
    case ATLS_ERROR_TLS:
        break;

    default:                            /* the server was not reached */
        return rc;
    }

    atls_debug(&client->debug, ATLS_DEBUG_INNER,
               "session lost, opening a new one: %s",
               rc == ATLS_OK ? "closed by the server" : client->failure.text);

    atls_failure_clear(&client->failure);
    client->open = 0;

    return ATLS_OK;
}


atls_error_e
atls_session_open(atls_client_t *client, int early)
{
    atls_tls_t     *tls = &client->tls;
    atls_error_e    rc;
    atls_resume_t   resume;

    client->open = 0;
    client->used = 0;
    client->out.len = 0;

    client->retry.missing = atls_session_missing;
    atls_retry_start(&client->retry);

    atls_session_take(client, &resume);

    rc = atls_tls_open(tls, &resume);

    if (rc == ATLS_OK && early) {
        rc = atls_session_early(client);
    }

    if (rc == ATLS_OK) {
        rc = atls_session_handshake(client);
    }

    if (rc != ATLS_OK) {
        return rc;
    }

    /*
     * In TLS 1.2, a session can be resumed several times.  OpenSSL does not
     * report a new ticket received on resumption.
     */

    if (tls->resumed && tls->tickets == 0
        && atls_tls_is_12(tls->ssl))
    {
        resume.session = SSL_get_session(tls->ssl);
        resume.chain = tls->chain;
        resume.began = tls->began;

        atls_resume_put(&client->store, client->key, &resume);
    }

    client->open = 1;

    return ATLS_OK;
}


/* Takes the newest stored session whose certificate is still trusted. */

static void
atls_session_take(atls_client_t *client, atls_resume_t *resume)
{
    int   i, rc;
    long  result;

    for (i = 0; i < ATLS_MAX_STORED; i++) {

        rc = atls_resume_take(&client->store, client->key, resume);

        if (rc == -1) {
            continue;
        }

        if (resume->session == NULL) {
            return;
        }

        result = atls_tls_verify_stored(&client->tls, resume);

        if (result == X509_V_OK) {
            return;
        }

        atls_debug(&client->debug, ATLS_DEBUG_INNER,
                   "inner TLS: stored session not resumed: %s",
                   X509_verify_cert_error_string(result));
        atls_resume_free(resume);
    }
}


/* Sends the request as early data, if allowed. */

static atls_error_e
atls_session_early(atls_client_t *client)
{
    atls_buf_t  *header = &client->message.header;

    if (!client->numbers[ATLS_EARLY_DATA] || client->upgrade
        || !atls_message_early(&client->message)
        || header->len > atls_tls_early_max(&client->tls))
    {
        return ATLS_OK;
    }

    atls_debug(&client->debug, ATLS_DEBUG_INNER,
               "inner TLS: sending early data");
    atls_debug_lines(&client->debug, ATLS_DEBUG_INNER_SENT, header->data,
                     header->len);

    client->response.too_early = 1;
    client->sending = 1;
    client->sent = 1;

    return atls_tls_early(&client->tls, header->data, header->len);
}


static atls_error_e
atls_session_handshake(atls_client_t *client)
{
    int            flights;
    atls_tls_t    *tls = &client->tls;
    atls_error_e   rc;

    for (flights = 0; flights < ATLS_MAX_FLIGHTS; flights++) {

        rc = atls_tls_handshake(tls);

        if (rc != ATLS_OK || tls->finished) {
            return rc;
        }

        if (!atls_tls_pending(tls)) {
            break;
        }

        rc = tls->datagram ? atls_session_flight(client)
                           : atls_session_post(client);

        if (rc != ATLS_OK) {
            return rc;
        }
    }

    client->failure.fault = ATLS_FAULT_NO_BODY;

    return atls_fail(&client->failure, ATLS_ERROR_TLS,
                     "the server did not continue the handshake: %s",
                     atls_fault_text(ATLS_FAULT_NO_BODY));
}


atls_error_e
atls_session_post(atls_client_t *client)
{
    int           status;
    atls_error_e  rc;

    rc = atls_tls_drain(&client->tls, &client->out);

    if (rc != ATLS_OK || client->out.len == 0) {
        return rc;
    }

    rc = atls_session_send(client, client->out.data, client->out.len);
    client->out.len = 0;

    if (client->sending && client->retry.posted) {
        client->posted = 1;
    }

    if (rc == ATLS_ERROR_OUTER_STATUS) {
        status = atls_outer_status(client->outer);
        client->lost = status == 410 || status == 409;

        if (status == 410 && !client->used
            && atls_outer_number(client->outer) > 1
            && client->failure.fault == ATLS_FAULT_NONE)
        {
            client->failure.fault = ATLS_FAULT_LOST;
            rc = atls_fail(&client->failure, rc,
                           "the endpoint returned 410: %s",
                           atls_fault_text(ATLS_FAULT_LOST));
        }

    } else if (rc == ATLS_ERROR_NETWORK) {
        client->lost = client->used || client->tls.early
                       || (client->retry.lost && !client->response.delivered);

    } else if (rc == ATLS_ERROR_TLS && client->tls.alert) {

        /* a POST that libcurl sent twice fails with an alert */

        client->lost = client->used
                       || (client->sending
                           && !atls_outer_is_reused(client->outer));
    }

    return rc;
}


/*
 * With DTLS, a flight is sent again if there is no response, or one without a
 * flight.  The server recognizes its messages, and not the POST.
 */

static atls_error_e
atls_session_flight(atls_client_t *client)
{
    int64_t       tries, pause;
    atls_error_e  rc;

    rc = atls_tls_drain(&client->tls, &client->out);

    pause = ATLS_FLIGHT_PAUSE;

    for (tries = client->numbers[ATLS_RETRIES]; rc == ATLS_OK; tries--) {

        rc = atls_session_send(client, client->out.data, client->out.len);

        if ((rc == ATLS_OK || rc == ATLS_ERROR_NETWORK)
            && (client->tls.finished || atls_tls_pending(&client->tls)))
        {
            atls_failure_clear(&client->failure);
            rc = ATLS_OK;
            break;
        }

        if (tries == 0 || (rc != ATLS_OK && rc != ATLS_ERROR_NETWORK)) {
            break;
        }

        rc = atls_session_again(client, pause);
        pause *= ATLS_FLIGHT_GROWTH;
    }

    client->out.len = 0;
    client->lost = rc == ATLS_ERROR_OUTER_STATUS
                   && atls_outer_status(client->outer) == 410;

    return rc;
}


/* If there is no time left, the error is that of the last attempt. */

static atls_error_e
atls_session_again(atls_client_t *client, int64_t pause)
{
    atls_error_e    rc;
    atls_failure_t  failure;

    failure = client->failure;

    atls_debug(&client->debug, ATLS_DEBUG_OUTER,
               "no flight of the server, sending the POST again after %lld ms",
               (long long) pause);

    rc = atls_outer_pause(client->outer, pause);

    if (rc == ATLS_ERROR_TIMEOUT && failure.error != ATLS_OK) {
        client->failure = failure;
        return failure.error;
    }

    if (rc == ATLS_ERROR_TIMEOUT) {
        return atls_fail(&client->failure, rc,
                         "the server did not continue the handshake");
    }

    return rc;
}


/* Sends a POST, and records what it tells about the session. */

static atls_error_e
atls_session_send(atls_client_t *client, const void *bytes, size_t n)
{
    int64_t       now;
    atls_error_e  rc;

    now = atls_clock();
    rc = atls_retry_post(&client->retry, bytes, n, atls_session_sink, client);

    if (rc == ATLS_OK) {
        client->seen = atls_clock();
        client->doubted = 0;

    } else if (rc != ATLS_ERROR_ABORTED) {
        client->failed = 1;
    }

    if (client->used && rc == ATLS_ERROR_OUTER_STATUS
        && atls_outer_status(client->outer) == 410)
    {
        client->unknown = now;
    }

    return rc;
}


/*
 * The response to the whole request contains the whole response of the service;
 * otherwise, a middlebox has cut it.
 */

static int
atls_session_missing(void *data)
{
    atls_client_t  *client = data;

    return client->open && client->sending && client->sent
           && client->response.state != ATLS_RESPONSE_COMPLETE
           && client->response.state != ATLS_RESPONSE_UPGRADED
           && !client->tls.closed;
}


static atls_error_e
atls_session_sink(void *data, const unsigned char *bytes, size_t n)
{
    atls_client_t  *client = data;

    return atls_tls_receive(&client->tls, bytes, n);
}


void
atls_session_send_alert(atls_client_t *client, int64_t deadline)
{
    atls_failure_t  failure;

    if (!atls_tls_pending(&client->tls)) {
        return;
    }

    failure = client->failure;

    if (atls_tls_drain(&client->tls, &client->out) == ATLS_OK) {
        atls_outer_set_message(client->outer, 0);
        atls_outer_set_deadline(client->outer, deadline);

        (void) atls_outer_post(client->outer, client->out.data,
                               client->out.len, atls_session_ignore, NULL);
    }

    client->out.len = 0;
    client->failure = failure;
}


int64_t
atls_session_alert_deadline(const atls_client_t *client)
{
    int64_t  deadline;

    deadline = atls_clock() + ATLS_CLOSE_TIME;

    return client->deadline && client->deadline < deadline ? client->deadline
                                                           : deadline;
}


static atls_error_e
atls_session_ignore(void *data, const unsigned char *bytes, size_t n)
{
    (void) data;
    (void) bytes;
    (void) n;

    return ATLS_OK;
}
