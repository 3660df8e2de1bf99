
/* What a client needs of a CoAP response. */


#ifndef ATLS_CMD_COAP_RESPONSE_H_INCLUDED
#define ATLS_CMD_COAP_RESPONSE_H_INCLUDED


#include "../../lib/buf.h"
#include "block.h"


#define CMD_COAP_ETAG       8           /* bytes, RFC 7252, section 5.10 */
#define CMD_COAP_ECHO       40          /* bytes, RFC 9175, section 2.2.1 */
#define CMD_COAP_NO_FORMAT  65536


typedef struct {
    int              code;              /* 0: no response */
    int              invalid;           /* an option is */
    int              has_block1;
    int              has_block2;
    cmd_block_t      block1;
    cmd_block_t      block2;
    unsigned char    etag[CMD_COAP_ETAG];
    size_t           netag;
    unsigned char    echo[CMD_COAP_ECHO];
    size_t           necho;
    unsigned         format;            /* Content-Format */
    unsigned         max_age;           /* seconds; 0: none */
    atls_buf_t       location;          /* a path, escaped; empty: none */
    atls_buf_t       payload;
} cmd_coap_response_t;


/* The structure must be zeroed, or was used before. */

void cmd_coap_response_read(cmd_coap_response_t *response,
    const coap_pdu_t *pdu);

void cmd_coap_response_free(cmd_coap_response_t *response);


#endif /* ATLS_CMD_COAP_RESPONSE_H_INCLUDED */
