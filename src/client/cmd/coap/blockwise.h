
/*
 * Requests and responses that may be in blocks (RFC 7959), and requests that
 * are repeated with an Echo option (RFC 9175).
 */


#ifndef ATLS_CMD_COAP_BLOCKWISE_H_INCLUDED
#define ATLS_CMD_COAP_BLOCKWISE_H_INCLUDED


#include "channel.h"


typedef struct {
    cmd_channel_t           *channel;
    atls_transport_post_t   *post;
    const char              *host;      /* Uri-Host; NULL: none */
    unsigned                 format;    /* Content-Format */
    unsigned                 szx;       /* of the largest block */
    cmd_coap_response_t     *response;
} cmd_blockwise_t;


/* Sends the body, and receives the response, or its first block. */

CURLcode cmd_blockwise_send(cmd_blockwise_t *blockwise);

/* Receives the next block of a response that has one. */

CURLcode cmd_blockwise_next(cmd_blockwise_t *blockwise);


#endif /* ATLS_CMD_COAP_BLOCKWISE_H_INCLUDED */
