
/*
 * A connection to a gateway, with or without DTLS, and exchanges of a request
 * and its response over it.  libcoap has messages, retransmissions and DTLS.
 *
 * Blocks and Echo are not left to it (COAP_BLOCK_USE_LIBCOAP): before 4.3.5, it
 * discards a separate response that is in blocks, and it passes the options of
 * the last block, but Location-Path is in the first one.
 */


#ifndef ATLS_CMD_COAP_CHANNEL_H_INCLUDED
#define ATLS_CMD_COAP_CHANNEL_H_INCLUDED


#include "../../lib/transport.h"
#include "response.h"
#include "uri.h"


typedef struct {
    const cmd_coap_uri_t    *uri;
    const char              *name;      /* of the host; NULL: none */
    const char              *identity;  /* NULL: no pre-shared key */
    coap_bin_const_t         key;
    const char              *cert;      /* NULL: no certificate */
    const char              *cert_key;
    int64_t                  timeout;   /* of the handshake, milliseconds; 0:
                                           none */
} cmd_channel_conf_t;


typedef struct {
    coap_context_t          *context;   /* NULL: closed */
    coap_session_t          *session;
    int                      dtls;
    int                      ready;     /* the handshake is complete */
    int                      heard;     /* a response was received */
    int64_t                  used;      /* when the last one was */
    CURLcode                 failed;
    unsigned char            token[8];
    size_t                   ntoken;
    cmd_coap_response_t     *response;  /* NULL: none is expected */
} cmd_channel_t;


/*
 * Makes a connection to an address.  The structure must be zeroed or closed,
 * and must be closed in any case.  CURLE_COULDNT_CONNECT, also of an exchange,
 * means that nothing listens there.
 */

CURLcode cmd_channel_open(cmd_channel_t *channel,
    const cmd_channel_conf_t *conf, const struct addrinfo *address,
    const atls_transport_post_t *post);

void cmd_channel_close(cmd_channel_t *channel);

/* Whether it is open, and was not closed by the gateway. */

int cmd_channel_is_open(const cmd_channel_t *channel);

/*
 * A new request: Confirmable, with a token.  NULL: no memory.  It is owned by
 * cmd_channel_ask().
 */

coap_pdu_t *cmd_channel_request(cmd_channel_t *channel);

/* Sends a request, and waits for the response. */

CURLcode cmd_channel_ask(cmd_channel_t *channel, coap_pdu_t *request,
    cmd_coap_response_t *response, atls_transport_post_t *post);


#endif /* ATLS_CMD_COAP_CHANNEL_H_INCLUDED */
