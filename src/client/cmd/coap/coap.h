
/*
 * The transport of "--via coap://...": POSTs to a gateway (docs/coap.md).
 */


#ifndef ATLS_CMD_COAP_COAP_H_INCLUDED
#define ATLS_CMD_COAP_COAP_H_INCLUDED


#include "../../lib/transport.h"


typedef struct {
    char        *identity;              /* pre-shared key; NULL: none */
    char        *key;                   /* in hex */
    char        *cert_file;
    char        *key_file;              /* NULL: the same */
    unsigned     format;                /* Content-Format */
    int64_t      block_size;
} cmd_coap_conf_t;


/* The conf of the transport is a cmd_coap_conf_t. */

void cmd_coap_transport(atls_transport_t *transport,
    const cmd_coap_conf_t *conf);


#endif /* ATLS_CMD_COAP_COAP_H_INCLUDED */
