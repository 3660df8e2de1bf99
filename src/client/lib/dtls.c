
/* Requests with DTLS records, see dtls.h. */


#include <string.h>

#include "client.h"
#include "dtls.h"
#include "session.h"


static atls_error_e atls_dtls_send(atls_client_t *client,
    const atls_buf_t *plain);
static atls_error_e atls_dtls_end(atls_client_t *client, atls_error_e rc);


atls_error_e
atls_dtls_perform(atls_client_t *client)
{
    atls_buf_t    plain;
    atls_error_e  rc;

    memset(&plain, 0, sizeof(atls_buf_t));

    rc = client->open ? ATLS_OK : atls_session_open(client, 0);

    if (rc == ATLS_OK) {
        rc = atls_message_whole(&client->message, &plain,
                                (size_t) client->numbers[ATLS_POST_SIZE],
                                "a request with DTLS");
    }

    if (rc == ATLS_OK) {
        rc = atls_dtls_send(client, &plain);
    }

    atls_buf_free(&plain);

    if (rc == ATLS_ERROR_TLS || rc == ATLS_ERROR_CERTIFICATE
        || rc == ATLS_ERROR_PIN)
    {
        client->open = 0;
        atls_session_send_alert(client, atls_session_alert_deadline(client));
    }

    return client->sending ? atls_dtls_end(client, rc) : rc;
}


/* The records of a request have one order only if they are in one POST. */

static atls_error_e
atls_dtls_send(atls_client_t *client, const atls_buf_t *plain)
{
    size_t        n, sent;
    atls_error_e  rc;

    atls_debug_lines(&client->debug, ATLS_DEBUG_INNER_SENT,
                     client->message.header.data, client->message.header.len);

    rc = ATLS_OK;

    for (sent = 0; rc == ATLS_OK && sent < plain->len; sent += n) {

        n = plain->len - sent;

        if (n > SSL3_RT_MAX_PLAIN_LENGTH) {
            n = SSL3_RT_MAX_PLAIN_LENGTH;
        }

        rc = atls_tls_write(&client->tls, plain->data + sent, n);
    }

    if (rc != ATLS_OK) {
        return rc;
    }

    client->sending = 1;
    client->sent = 1;

    return atls_session_post(client);
}


/*
 * Anybody can remove the request, or the response, so after any failure, a new
 * session is used: in this one, it is not known which record is the next one.
 * A response without a length is an error: its end is not authenticated.
 */

static atls_error_e
atls_dtls_end(atls_client_t *client, atls_error_e rc)
{
    int               complete;
    atls_response_t  *response = &client->response;

    complete = response->state == ATLS_RESPONSE_COMPLETE;

    client->open = rc == ATLS_OK && complete && !client->tls.closed;

    if (rc == ATLS_ERROR_NETWORK && complete) {

        /* only the outer response is incomplete */

        atls_failure_clear(&client->failure);
        return ATLS_OK;
    }

    if (rc == ATLS_ERROR_NETWORK) {
        client->lost = !response->delivered;
    }

    if (rc != ATLS_OK || complete) {
        return rc;
    }

    client->lost = !response->delivered;

    return atls_fail(&client->failure, ATLS_ERROR_TRUNCATED,
                     response->status == 0 && response->lines.text.len == 0
                     ? "the request, or the response, was lost"
                     : "the response is incomplete, or has no length");
}
