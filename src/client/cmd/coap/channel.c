
/*
 * Connections to a gateway, see channel.h.
 */


#include <string.h>

#include "../../lib/clock.h"
#include "channel.h"
#include "library.h"


#define CMD_CHANNEL_CHECK   1000        /* milliseconds between calls of
                                           wait() */


static coap_session_t *cmd_channel_session(cmd_channel_t *channel,
    const cmd_channel_conf_t *conf, const coap_address_t *address);
static coap_session_t *cmd_channel_psk(cmd_channel_t *channel,
    const cmd_channel_conf_t *conf, const coap_address_t *address);
static coap_session_t *cmd_channel_pki(cmd_channel_t *channel,
    const cmd_channel_conf_t *conf, const coap_address_t *address);
static coap_response_t cmd_channel_received(coap_session_t *session,
    const coap_pdu_t *sent, const coap_pdu_t *pdu, const coap_mid_t mid);
static void cmd_channel_nack(coap_session_t *session, const coap_pdu_t *sent,
    const coap_nack_reason_t reason, const coap_mid_t mid);
static int cmd_channel_event(coap_session_t *session,
    const coap_event_t event);
static void cmd_channel_fail(cmd_channel_t *channel, CURLcode code);
static CURLcode cmd_channel_wait(cmd_channel_t *channel,
    const atls_transport_post_t *post, int64_t timeout);


CURLcode
cmd_channel_open(cmd_channel_t *channel, const cmd_channel_conf_t *conf,
    const struct addrinfo *address, const atls_transport_post_t *post)
{
    coap_address_t  to;

    memset(channel, 0, sizeof(cmd_channel_t));

    channel->context = coap_new_context(NULL);
    if (channel->context == NULL) {
        return CURLE_OUT_OF_MEMORY;
    }

    coap_set_app_data(channel->context, channel);
    coap_context_set_block_mode(channel->context, 0);
    coap_register_response_handler(channel->context, cmd_channel_received);
    coap_register_nack_handler(channel->context, cmd_channel_nack);
    coap_register_event_handler(channel->context, cmd_channel_event);

    channel->dtls = conf->uri->proto == COAP_PROTO_DTLS;
    channel->ready = !channel->dtls;

    cmd_coap_address(&to, address);
    channel->session = cmd_channel_session(channel, conf, &to);

    if (channel->session == NULL) {
        return CURLE_COULDNT_CONNECT;
    }

    coap_session_set_mtu(channel->session, CMD_COAP_MTU);

    return channel->ready ? CURLE_OK
                          : cmd_channel_wait(channel, post, conf->timeout);
}


static coap_session_t *
cmd_channel_session(cmd_channel_t *channel, const cmd_channel_conf_t *conf,
    const coap_address_t *address)
{
    return !channel->dtls
           ? coap_new_client_session(channel->context, NULL, address,
                                     COAP_PROTO_UDP)
           : conf->identity ? cmd_channel_psk(channel, conf, address)
                            : cmd_channel_pki(channel, conf, address);
}


static coap_session_t *
cmd_channel_psk(cmd_channel_t *channel, const cmd_channel_conf_t *conf,
    const coap_address_t *address)
{
    coap_dtls_cpsk_t  setup;

    memset(&setup, 0, sizeof(setup));
    setup.version = COAP_DTLS_CPSK_SETUP_VERSION;
    setup.client_sni = (char *) conf->name;
    setup.psk_info.identity.s = (const uint8_t *) conf->identity;
    setup.psk_info.identity.length = strlen(conf->identity);
    setup.psk_info.key = conf->key;

    return coap_new_client_session_psk2(channel->context, NULL, address,
                                        COAP_PROTO_DTLS, &setup);
}


/* As over HTTP, the certificate of an outer connection is not verified. */

static coap_session_t *
cmd_channel_pki(cmd_channel_t *channel, const cmd_channel_conf_t *conf,
    const coap_address_t *address)
{
    coap_dtls_pki_t  setup;

    memset(&setup, 0, sizeof(setup));
    setup.version = COAP_DTLS_PKI_SETUP_VERSION;
    setup.client_sni = (char *) conf->name;
    setup.pki_key.key_type = COAP_PKI_KEY_PEM;
    setup.pki_key.key.pem.public_cert = conf->cert;
    setup.pki_key.key.pem.private_key = conf->cert_key;

    return coap_new_client_session_pki(channel->context, NULL, address,
                                       COAP_PROTO_DTLS, &setup);
}


void
cmd_channel_close(cmd_channel_t *channel)
{
    if (channel->session) {
        coap_session_release(channel->session);
    }

    if (channel->context) {
        coap_free_context(channel->context);
    }

    channel->session = NULL;
    channel->context = NULL;
}


int
cmd_channel_is_open(const cmd_channel_t *channel)
{
    return channel->session && channel->failed == CURLE_OK
           && coap_session_get_state(channel->session)
              == COAP_SESSION_STATE_ESTABLISHED;
}


/* A response that was received before is acknowledged again. */

static coap_response_t
cmd_channel_received(coap_session_t *session, const coap_pdu_t *sent,
    const coap_pdu_t *pdu, const coap_mid_t mid)
{
    cmd_channel_t     *channel;
    coap_bin_const_t   token;

    (void) sent;
    (void) mid;

    channel = coap_get_app_data(coap_session_get_context(session));
    token = coap_pdu_get_token(pdu);

    if (channel->response && token.length == channel->ntoken
        && memcmp(token.s, channel->token, token.length) == 0)
    {
        cmd_coap_response_read(channel->response, pdu);

        channel->response = NULL;
        channel->heard = 1;
        channel->used = atls_clock();
    }

    return COAP_RESPONSE_OK;
}


static void
cmd_channel_nack(coap_session_t *session, const coap_pdu_t *sent,
    const coap_nack_reason_t reason, const coap_mid_t mid)
{
    cmd_channel_t  *channel;

    (void) sent;
    (void) mid;

    channel = coap_get_app_data(coap_session_get_context(session));

    switch (reason) {

    case COAP_NACK_TOO_MANY_RETRIES:
        cmd_channel_fail(channel, CURLE_OPERATION_TIMEDOUT);
        break;

    /* libcoap 4.3.4 and newer: also if the gateway has closed the session */

    case COAP_NACK_TLS_FAILED:
        cmd_channel_fail(channel, channel->ready ? CURLE_RECV_ERROR
                                                 : CURLE_SSL_CONNECT_ERROR);
        break;

    case COAP_NACK_RST:
        cmd_channel_fail(channel, CURLE_RECV_ERROR);
        break;

    default:
        cmd_channel_fail(channel, channel->heard ? CURLE_RECV_ERROR
                                                 : CURLE_COULDNT_CONNECT);
    }
}


static int
cmd_channel_event(coap_session_t *session, const coap_event_t event)
{
    cmd_channel_t  *channel;

    channel = coap_get_app_data(coap_session_get_context(session));

    switch (event) {

    case COAP_EVENT_DTLS_CONNECTED:
        channel->ready = 1;
        break;

    case COAP_EVENT_DTLS_ERROR:
    case COAP_EVENT_DTLS_CLOSED:
        cmd_channel_fail(channel, channel->ready ? CURLE_RECV_ERROR
                                                 : CURLE_SSL_CONNECT_ERROR);
        break;

    default:
        break;
    }

    return 0;
}


/* The first reason is that of the others. */

static void
cmd_channel_fail(cmd_channel_t *channel, CURLcode code)
{
    if (channel->failed == CURLE_OK) {
        channel->failed = code;
    }
}


coap_pdu_t *
cmd_channel_request(cmd_channel_t *channel)
{
    coap_pdu_t  *request;

    request = coap_new_pdu(COAP_MESSAGE_CON, COAP_REQUEST_CODE_POST,
                           channel->session);
    if (request == NULL) {
        return NULL;
    }

    coap_session_new_token(channel->session, &channel->ntoken, channel->token);

    if (coap_add_token(request, channel->ntoken, channel->token) == 0) {
        coap_delete_pdu(request);
        return NULL;
    }

    return request;
}


CURLcode
cmd_channel_ask(cmd_channel_t *channel, coap_pdu_t *request,
    cmd_coap_response_t *response, atls_transport_post_t *post)
{
    CURLcode  code;

    channel->response = response;
    post->sent = 1;

    if (coap_send(channel->session, request) == COAP_INVALID_MID) {
        cmd_channel_fail(channel, channel->heard ? CURLE_SEND_ERROR
                                                 : CURLE_COULDNT_CONNECT);
    }

    code = cmd_channel_wait(channel, post, post->idle_timeout);

    channel->response = NULL;

    if (code == CURLE_COULDNT_CONNECT) {
        post->sent = 0;
    }

    return code;
}


/* Waits for the end of the handshake, or for the response. */

static CURLcode
cmd_channel_wait(cmd_channel_t *channel, const atls_transport_post_t *post,
    int64_t timeout)
{
    int64_t  now, until;

    now = atls_clock();
    until = post->deadline ? post->deadline : INT64_MAX;

    if (timeout && until - now > timeout) {
        until = now + timeout;
    }

    for ( /* void */ ; now < until; now = atls_clock()) {

        if (channel->ready && channel->response == NULL) {
            return CURLE_OK;
        }

        if (channel->failed != CURLE_OK) {
            return channel->failed;
        }

        if (post->wait(post->data) != 0) {
            return CURLE_ABORTED_BY_CALLBACK;
        }

        if (coap_session_get_state(channel->session)
            == COAP_SESSION_STATE_NONE)
        {
            return channel->heard ? CURLE_RECV_ERROR : CURLE_COULDNT_CONNECT;
        }

        if (coap_io_process(channel->context,
                            until - now < CMD_CHANNEL_CHECK
                            ? (uint32_t) (until - now) : CMD_CHANNEL_CHECK)
            == -1)
        {
            return CURLE_RECV_ERROR;
        }
    }

    return CURLE_OPERATION_TIMEDOUT;
}
