
/*
 * A CoAP response, apart from its type, its token and its message ID: it may be
 * sent again, in another message.
 */


#ifndef ATLS_GATEWAY_MESSAGE_H_INCLUDED
#define ATLS_GATEWAY_MESSAGE_H_INCLUDED


#include <stddef.h>
#include <stdint.h>

#include <coap3/coap.h>


typedef struct {
    int              code;                  /* 0: none */
    unsigned char   *options;               /* allocated, see message.c */
    size_t           noptions;
    unsigned char   *payload;               /* allocated */
    size_t           npayload;
} gw_message_t;


/* The structure must be zeroed, or freed by gw_message_free(). */

void gw_message_option(gw_message_t *message, unsigned number,
    const void *value, size_t n);
void gw_message_uint(gw_message_t *message, unsigned number, unsigned value);

/* Removes all options with the number. */

void gw_message_remove(gw_message_t *message, unsigned number);

/* Replaces the payload with a copy. */

void gw_message_payload(gw_message_t *message, const void *bytes, size_t n);

/* Returns -1 if it does not fit. */

int gw_message_write(const gw_message_t *message, coap_pdu_t *pdu);

/* Bytes of the options, about as they are in a datagram. */

size_t gw_message_size(const gw_message_t *message);

/* The structure *to must be zeroed. */

void gw_message_copy(gw_message_t *to, const gw_message_t *message);

void gw_message_free(gw_message_t *message);


#endif /* ATLS_GATEWAY_MESSAGE_H_INCLUDED */
