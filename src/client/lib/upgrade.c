
/*
 * Upgraded connections in a session, see upgrade.h.
 */


#include "client.h"
#include "http.h"
#include "upgrade.h"


#define ATLS_UPGRADE_RECORD     SSL3_RT_MAX_PLAIN_LENGTH


static const char *atls_upgrade_protocol(const atls_request_t *request);
static atls_error_e atls_upgrade_plain(void *data, const unsigned char *bytes,
    size_t n);


atls_error_e
atls_upgrade(atls_client_t *client, const atls_request_t *request)
{
    atls_error_e  rc;

    if (client->numbers[ATLS_EXPORTED_KEYS]) {
        return atls_fail(&client->failure, ATLS_ERROR_USAGE,
                         "no upgrades with exported keys");
    }

    if (client->numbers[ATLS_DTLS]) {
        return atls_fail(&client->failure, ATLS_ERROR_USAGE,
                         "no upgrades with DTLS");
    }

    client->upgrade = atls_upgrade_protocol(request);
    rc = atls_perform(client, request);
    client->upgrade = NULL;
    client->response.upgrade = NULL;

    return rc;
}


static const char *
atls_upgrade_protocol(const atls_request_t *request)
{
    size_t  i;

    for (i = 0; i < request->nheaders; i++) {
        if (request->headers[i].name
            && atls_http_is_name(request->headers[i].name, "Upgrade"))
        {
            return request->headers[i].value;
        }
    }

    return NULL;
}


int
atls_upgraded(const atls_client_t *client)
{
    return client->response.state == ATLS_RESPONSE_UPGRADED;
}


void
atls_upgraded_open(atls_client_t *client, atls_sink_pt plain, void *data)
{
    client->upgraded = plain;
    client->upgraded_data = data;
    client->tls.plain = atls_upgrade_plain;
}


/* An atls_plain_pt. */

static atls_error_e
atls_upgrade_plain(void *data, const unsigned char *bytes, size_t n)
{
    atls_client_t  *client = data;

    return client->upgraded(client->upgraded_data, bytes, n);
}


atls_error_e
atls_upgraded_receive(void *data, const unsigned char *bytes, size_t n)
{
    atls_client_t  *client = data;

    return atls_tls_receive(&client->tls, bytes, n);
}


atls_error_e
atls_upgraded_seal(void *data, const unsigned char *bytes, size_t n,
    atls_buf_t *out)
{
    size_t          piece;
    atls_error_e    rc;
    atls_client_t  *client = data;

    for (rc = ATLS_OK; n && rc == ATLS_OK; n -= piece) {

        piece = n < ATLS_UPGRADE_RECORD ? n : ATLS_UPGRADE_RECORD;

        rc = atls_tls_write(&client->tls, bytes, piece);
        bytes += piece;

        if (rc == ATLS_OK) {
            rc = atls_tls_drain(&client->tls, out);
        }
    }

    return rc;
}


atls_error_e
atls_upgraded_poll(void *data, int ask, atls_buf_t *out)
{
    atls_error_e    rc;
    atls_client_t  *client = data;

    rc = atls_tls_poll(&client->tls, ask);

    return rc == ATLS_OK ? atls_tls_drain(&client->tls, out) : rc;
}


atls_error_e
atls_upgraded_close(void *data, atls_buf_t *out)
{
    atls_client_t  *client = data;

    atls_tls_shutdown(&client->tls);

    return atls_tls_drain(&client->tls, out);
}


int
atls_upgraded_closed(void *data)
{
    atls_client_t  *client = data;

    return client->tls.closed;
}


void
atls_upgraded_end(atls_client_t *client)
{
    client->open = 0;
    client->out.len = 0;
    client->response.state = ATLS_RESPONSE_COMPLETE;
}


const atls_retry_t *
atls_upgraded_retry(const atls_client_t *client)
{
    return &client->retry;
}
