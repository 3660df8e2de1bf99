
/* Requests with exported keys, see exported.h. */


#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "ece.h"
#include "exported.h"
#include "session.h"


#define ATLS_EXPORTED_LABEL     "application-layer-tls"
#define ATLS_EXPORTED_KEYID     64          /* size */

/*
 * Milliseconds for which a session is considered to exist after a message: then
 * it is asked whether it does, before a request that cannot be repeated.
 */

#define ATLS_EXPORTED_SURE      2000

/*
 * Milliseconds from a message until another session is opened, if no response
 * to it has begun and the next number would leave it behind the window.
 */

#define ATLS_EXPORTED_WAIT      100


/* The keys of a message and of the response to it. */

typedef struct {
    unsigned char    request[ATLS_ECE_KEY];
    unsigned char    response[ATLS_ECE_KEY];
    char             keyid[ATLS_EXPORTED_KEYID];
    uint64_t         number;
    unsigned         session;               /* its number */
    int              sure;                  /* it still exists */
    int              answered;              /* the server has the message */

    atls_client_t   *client;
} atls_exported_keys_t;


static atls_error_e atls_exported_take(atls_client_t *client,
    atls_exported_keys_t *keys);
static atls_error_e atls_exported_open(atls_client_t *client,
    atls_client_t *lead);
static int64_t atls_exported_waits(const atls_client_t *lead);
static atls_error_e atls_exported_handshake(atls_client_t *lead);
static const char *atls_exported_weakness(SSL *ssl);
static atls_error_e atls_exported_keys(atls_client_t *lead,
    atls_exported_keys_t *keys);
static int atls_exported_key(SSL *ssl, int kind, uint64_t number,
    unsigned char *key);
static atls_error_e atls_exported_probe(atls_client_t *client,
    atls_exported_keys_t *keys);
static atls_error_e atls_exported_send(atls_client_t *client,
    atls_exported_keys_t *keys, const atls_buf_t *plain);
static atls_error_e atls_exported_sink(void *data, const unsigned char *bytes,
    size_t n);
static atls_error_e atls_exported_plain(void *data, const unsigned char *bytes,
    size_t n);
static atls_error_e atls_exported_result(atls_client_t *client,
    atls_exported_keys_t *keys, int64_t expiry, atls_error_e rc);
static void atls_exported_answered(atls_client_t *lead,
    atls_exported_keys_t *keys);
static atls_error_e atls_exported_end(atls_client_t *client);
static atls_error_e atls_exported_unexpected(void *data,
    const unsigned char *bytes, size_t n);
static atls_client_t *atls_exported_lead(atls_client_t *client);


void
atls_exported_share(atls_client_t *client, atls_client_t *lead)
{
    client->lead = lead;
}


atls_error_e
atls_exported_perform(atls_client_t *client)
{
    atls_buf_t            plain;
    atls_error_e          rc;
    atls_exported_keys_t  keys;

    memset(&plain, 0, sizeof(atls_buf_t));

    /* as long as a number is not used, others may have to wait */

    rc = atls_message_whole(&client->message, &plain,
                            (size_t) client->numbers[ATLS_POST_SIZE],
                            "a request with exported keys");

    if (rc == ATLS_OK) {
        rc = atls_exported_take(client, &keys);
    }

    if (rc == ATLS_OK && !keys.sure
        && !atls_message_repeatable(&client->message))
    {
        rc = atls_exported_probe(client, &keys);
    }

    if (rc == ATLS_OK) {
        atls_debug_lines(&client->debug, ATLS_DEBUG_INNER_SENT,
                         client->message.header.data,
                         client->message.header.len);

        client->sending = 1;
        client->sent = 1;

        rc = atls_exported_send(client, &keys, &plain);

        if (atls_outer_sent(client->outer)) {
            client->posted = 1;
        }
    }

    if (rc == ATLS_OK) {
        rc = atls_exported_end(client);
    }

    OPENSSL_cleanse(&keys, sizeof(keys));
    atls_buf_free(&plain);

    return rc;
}


/* Takes the next number of the session, which is opened if necessary. */

static atls_error_e
atls_exported_take(atls_client_t *client, atls_exported_keys_t *keys)
{
    atls_error_e    rc;
    atls_client_t  *lead;

    lead = atls_exported_lead(client);

    pthread_mutex_lock(&lead->lock);

    rc = atls_exported_open(client, lead);

    if (rc == ATLS_OK) {
        keys->sure = atls_clock() - lead->seen < ATLS_EXPORTED_SURE;

        rc = atls_exported_keys(lead, keys);
    }

    if (rc != ATLS_OK && lead != client) {
        client->failure = lead->failure;
    }

    if (rc == ATLS_OK && lead != client
        && (client->sessions != lead->sessions
            || client->cookies != lead->cookies))
    {
        rc = atls_outer_join(client->outer, lead->outer) == 0
             ? ATLS_OK : atls_fail_memory(&client->failure);

        client->sessions = lead->sessions;
        client->cookies = lead->cookies;
    }

    pthread_mutex_unlock(&lead->lock);

    return rc;
}


static atls_error_e
atls_exported_open(atls_client_t *client, atls_client_t *lead)
{
    int64_t       until;
    atls_error_e  rc;

    if (lead->open && atls_outer_expired(lead->outer)) {
        atls_debug(&client->debug, ATLS_DEBUG_INNER,
                   "session expired, opening a new one");
        lead->open = 0;
    }

    /* messages of the previous session can still arrive, and be answered */

    while (lead->open && (until = atls_exported_waits(lead)) != 0) {

        if (!atls_clock_wait(&lead->answered, &lead->lock, until)
            && atls_exported_waits(lead) == until)
        {
            atls_debug(&client->debug, ATLS_DEBUG_INNER,
                       "an earlier request is not answered, opening another "
                       "session");
            lead->open = 0;
        }
    }

    if (lead->open) {
        return ATLS_OK;
    }

    rc = atls_client_prepare(lead);

    if (rc == ATLS_OK) {
        lead->deadline = client->deadline;
        atls_outer_set_deadline(lead->outer, client->deadline);

        rc = atls_exported_handshake(lead);
    }

    return rc;
}


/*
 * Until when the next number must wait for the one that would leave the window;
 * 0: it need not wait.
 */

static int64_t
atls_exported_waits(const atls_client_t *lead)
{
    int64_t  sent;

    sent = lead->awaited[lead->number % ATLS_EXPORTED_WINDOW];

    return sent ? sent + ATLS_EXPORTED_WAIT : 0;
}


/* The server must have received the last flight before the first message. */

static atls_error_e
atls_exported_handshake(atls_client_t *lead)
{
    const char    *weakness;
    atls_error_e   rc;

    atls_outer_set_message(lead->outer, 0);
    lead->tls.plain = atls_exported_unexpected;

    rc = atls_session_open(lead, 0);

    if (rc == ATLS_OK) {
        rc = atls_session_post(lead);
    }

    if (rc == ATLS_OK && lead->tls.closed) {
        rc = atls_fail(&lead->failure, ATLS_ERROR_TLS,
                       "the server closed the session");
    }

    lead->open = rc == ATLS_OK;

    if (rc != ATLS_OK) {
        return rc;
    }

    lead->sessions++;
    lead->number = 0;
    memset(lead->awaited, 0, sizeof(lead->awaited));

    weakness = atls_exported_weakness(lead->tls.ssl);

    if (weakness) {
        lead->open = 0;

        return atls_fail(&lead->failure, ATLS_ERROR_TLS,
                         "the session has no exported keys: %s", weakness);
    }

    return ATLS_OK;
}


/* RFC 7627, section 5.4: without it, sessions may have the same keys. */

static const char *
atls_exported_weakness(SSL *ssl)
{
    const char  *name;

    name = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl));

    if (name && strstr(name, "_CCM_8")) {
        return "the cipher suite has short tags";
    }

    if (SSL_version(ssl) == TLS1_2_VERSION && SSL_get_extms_support(ssl) != 1) {
        return "the server does not support extended master secret";
    }

    return NULL;
}


static atls_error_e
atls_exported_keys(atls_client_t *lead, atls_exported_keys_t *keys)
{
    int          n;
    uint64_t     number;
    const char  *id;

    id = atls_outer_session(lead->outer);

    if (id == NULL) {
        return atls_fail(&lead->failure, ATLS_ERROR_HTTP,
                         "the identifier of the session is unknown: there is "
                         "no URI of it, and no cookie, or more than one");
    }

    number = lead->number++;

    n = snprintf(keys->keyid, ATLS_EXPORTED_KEYID, "%s.%llu", id,
                 (unsigned long long) number);

    if (n >= ATLS_EXPORTED_KEYID
        || atls_exported_key(lead->tls.ssl, 1, number, keys->request) == -1
        || atls_exported_key(lead->tls.ssl, 2, number, keys->response) == -1)
    {
        return atls_fail_openssl(&lead->failure, ATLS_ERROR_TLS,
                                 "cannot export keys");
    }

    lead->awaited[number % ATLS_EXPORTED_WINDOW] = atls_clock();

    keys->number = number;
    keys->session = lead->sessions;
    keys->answered = 0;

    return ATLS_OK;
}


/* Kind: 1 for a request, 2 for a response. */

static int
atls_exported_key(SSL *ssl, int kind, uint64_t number, unsigned char *key)
{
    int            i;
    unsigned char  context[9];

    context[0] = (unsigned char) kind;

    for (i = 8; i; i--) {
        context[i] = (unsigned char) number;
        number >>= 8;
    }

    return SSL_export_keying_material(ssl, key, ATLS_ECE_KEY,
                                      ATLS_EXPORTED_LABEL,
                                      sizeof(ATLS_EXPORTED_LABEL) - 1,
                                      context, sizeof(context), 1)
           == 1 ? 0 : -1;
}


/*
 * An empty message shows whether the session exists, before a request that
 * cannot be repeated.  If it does not, another one is opened.
 */

static atls_error_e
atls_exported_probe(atls_client_t *client, atls_exported_keys_t *keys)
{
    atls_buf_t    empty;
    atls_error_e  rc;

    memset(&empty, 0, sizeof(atls_buf_t));

    atls_debug(&client->debug, ATLS_DEBUG_INNER,
               "session was idle, checking it with an empty message");

    rc = atls_exported_send(client, keys, &empty);

    if (rc != ATLS_OK && !client->lost) {
        return rc;
    }

    if (rc != ATLS_OK) {
        atls_debug(&client->debug, ATLS_DEBUG_INNER,
                   "session lost, opening a new one: %s", client->failure.text);
        atls_failure_clear(&client->failure);
        client->lost = 0;
    }

    return atls_exported_take(client, keys);
}


static atls_error_e
atls_exported_send(atls_client_t *client, atls_exported_keys_t *keys,
    const atls_buf_t *plain)
{
    int64_t       expiry;
    atls_ece_t    ece;
    atls_buf_t    body;
    atls_error_e  rc;

    memset(&ece, 0, sizeof(atls_ece_t));
    memset(&body, 0, sizeof(atls_buf_t));

    ece.key = keys->response;
    ece.keyid = keys->keyid;
    ece.failure = &client->failure;
    ece.sink = atls_exported_plain;
    ece.data = keys;

    keys->client = client;

    if (atls_ece_seal(&body, keys->request, keys->keyid, plain->data,
                      plain->len)
        == -1)
    {
        atls_buf_free(&body);
        atls_exported_answered(atls_exported_lead(client), keys);

        return atls_fail_openssl(&client->failure, ATLS_ERROR_TLS,
                                 "cannot encrypt the request");
    }

    expiry = atls_outer_expiry(client->outer);
    atls_outer_set_message(client->outer, 1);

    rc = atls_outer_post(client->outer, body.data, body.len,
                         atls_exported_sink, &ece);

    rc = atls_exported_result(client, keys, expiry, rc);

    /* a response that is complete does not need its last record */

    if (rc == ATLS_OK && client->response.state != ATLS_RESPONSE_COMPLETE) {
        rc = atls_ece_end(&ece);
    }

    atls_ece_free(&ece);
    atls_buf_free(&body);

    return rc;
}


/* An atls_sink_pt: receives the body of the response to the POST. */

static atls_error_e
atls_exported_sink(void *data, const unsigned char *bytes, size_t n)
{
    return atls_ece_open(data, bytes, n);
}


/* An atls_ece_sink_pt: receives the plaintext of the response. */

static atls_error_e
atls_exported_plain(void *data, const unsigned char *bytes, size_t n)
{
    atls_exported_keys_t  *keys = data;

    atls_client_t  *client = keys->client;

    atls_exported_answered(atls_exported_lead(client), keys);

    return client->sending ? atls_response_parse(&client->response, bytes, n)
                           : atls_exported_unexpected(client, bytes, n);
}


/* What the result of a POST tells about the session. */

static atls_error_e
atls_exported_result(atls_client_t *client, atls_exported_keys_t *keys,
    int64_t expiry, atls_error_e rc)
{
    int             status;
    atls_client_t  *lead;

    lead = atls_exported_lead(client);
    status = atls_outer_status(client->outer);

    atls_exported_answered(lead, keys);

    pthread_mutex_lock(&lead->lock);

    if (keys->session == lead->sessions) {

        if (rc == ATLS_OK) {
            lead->seen = atls_clock();

            if (lead != client && atls_outer_expiry(client->outer) != expiry
                && atls_outer_join(lead->outer, client->outer) == 0)
            {
                client->cookies = ++lead->cookies;
            }

        } else if (rc == ATLS_ERROR_OUTER_STATUS && status == 410) {
            lead->open = 0;
        }
    }

    pthread_mutex_unlock(&lead->lock);

    /*
     * It is not known whether the request was processed: anybody can send these
     * statuses, or close a connection.  It may be repeated, with another
     * number, if it is idempotent.
     */

    client->lost = (rc == ATLS_ERROR_OUTER_STATUS
                    && (status == 410 || status == 409))
                   || (rc == ATLS_ERROR_NETWORK && !client->response.delivered);

    return rc;
}


/*
 * The server has received the message, or the client gives it up: numbers need
 * not wait for it.
 */

static void
atls_exported_answered(atls_client_t *lead, atls_exported_keys_t *keys)
{
    if (keys->answered) {
        return;
    }

    keys->answered = 1;

    pthread_mutex_lock(&lead->lock);

    if (keys->session == lead->sessions) {
        lead->awaited[keys->number % ATLS_EXPORTED_WINDOW] = 0;
        pthread_cond_broadcast(&lead->answered);
    }

    pthread_mutex_unlock(&lead->lock);
}


static atls_error_e
atls_exported_end(atls_client_t *client)
{
    atls_response_t  *response = &client->response;

    atls_response_end(response);

    if (response->state == ATLS_RESPONSE_COMPLETE) {
        return ATLS_OK;
    }

    return atls_fail(&client->failure, ATLS_ERROR_TRUNCATED,
                     response->status == 0 && response->lines.text.len == 0
                     ? "the service closed the connection without a response"
                     : "the service closed the connection within the response");
}


/* An atls_plain_pt: there are no data in records. */

static atls_error_e
atls_exported_unexpected(void *data, const unsigned char *bytes, size_t n)
{
    atls_client_t  *client = data;

    (void) bytes;
    (void) n;

    return atls_fail(&client->failure, ATLS_ERROR_HTTP,
                     "unexpected response data before a request");
}


static atls_client_t *
atls_exported_lead(atls_client_t *client)
{
    return client->lead ? client->lead : client;
}
