
/*
 * CoAP responses, see message.h.  An option is its number and the length of its
 * value, with two bytes each, and its value.
 */


#include <stdlib.h>
#include <string.h>

#include "../cmd/base/util.h"
#include "message.h"


#define GW_OPTION_HEADER    4


static unsigned gw_message_uint16(const unsigned char *p);


void
gw_message_option(gw_message_t *message, unsigned number, const void *value,
    size_t n)
{
    unsigned char  *p;

    message->options = cmd_realloc(message->options, message->noptions
                                                     + GW_OPTION_HEADER + n);

    p = message->options + message->noptions;

    p[0] = (unsigned char) (number >> 8);
    p[1] = (unsigned char) number;
    p[2] = (unsigned char) (n >> 8);
    p[3] = (unsigned char) n;

    if (n) {
        memcpy(p + GW_OPTION_HEADER, value, n);
    }

    message->noptions += GW_OPTION_HEADER + n;
}


void
gw_message_uint(gw_message_t *message, unsigned number, unsigned value)
{
    size_t         n;
    unsigned char  bytes[4];

    n = coap_encode_var_safe(bytes, sizeof(bytes), value);

    gw_message_option(message, number, bytes, n);
}


void
gw_message_remove(gw_message_t *message, unsigned number)
{
    size_t          i, n, kept;
    unsigned char  *p;

    kept = 0;

    for (i = 0; i < message->noptions; i += n) {
        p = message->options + i;
        n = GW_OPTION_HEADER + gw_message_uint16(p + 2);

        if (gw_message_uint16(p) != number) {
            memmove(message->options + kept, p, n);
            kept += n;
        }
    }

    message->noptions = kept;
}


static unsigned
gw_message_uint16(const unsigned char *p)
{
    return (unsigned) p[0] << 8 | p[1];
}


void
gw_message_payload(gw_message_t *message, const void *bytes, size_t n)
{
    free(message->payload);

    message->payload = NULL;
    message->npayload = n;

    if (n) {
        message->payload = cmd_alloc(n);
        memcpy(message->payload, bytes, n);
    }
}


int
gw_message_write(const gw_message_t *message, coap_pdu_t *pdu)
{
    size_t                i, n;
    const unsigned char  *p;

    coap_pdu_set_code(pdu, message->code);

    for (i = 0; i < message->noptions; i += GW_OPTION_HEADER + n) {

        p = message->options + i;
        n = gw_message_uint16(p + 2);

        if (coap_add_option(pdu, (coap_option_num_t) gw_message_uint16(p), n,
                            p + GW_OPTION_HEADER)
            == 0)
        {
            return -1;
        }
    }

    return message->npayload == 0
           || coap_add_data(pdu, message->npayload, message->payload)
           ? 0 : -1;
}


/* The header of an option in a datagram is at most as long as here. */

size_t
gw_message_size(const gw_message_t *message)
{
    return message->noptions;
}


void
gw_message_copy(gw_message_t *to, const gw_message_t *message)
{
    to->code = message->code;

    if (message->noptions) {
        to->options = cmd_alloc(message->noptions);
        memcpy(to->options, message->options, message->noptions);
        to->noptions = message->noptions;
    }

    gw_message_payload(to, message->payload, message->npayload);
}


void
gw_message_free(gw_message_t *message)
{
    free(message->options);
    free(message->payload);

    memset(message, 0, sizeof(gw_message_t));
}
