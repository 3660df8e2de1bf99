
/* The server name in a ClientHello, of TLS or of DTLS 1.2. */


#ifndef ATLS_GATEWAY_HELLO_H_INCLUDED
#define ATLS_GATEWAY_HELLO_H_INCLUDED


#include <stddef.h>


#define GW_HELLO_NAME   256


typedef enum {
    GW_HELLO_NONE = 0,
    GW_HELLO_TLS,
    GW_HELLO_DTLS
} gw_hello_e;


/*
 * Whether a body begins with a ClientHello, as the module recognizes it: by the
 * header of the record, and the start of the message.  A later fragment of DTLS
 * is none.
 */

gw_hello_e gw_hello_kind(const unsigned char *body, size_t n);

/*
 * Copies the name of the server_name extension (RFC 6066, section 3).  Returns
 * -1 if there is none, or if the ClientHello is not complete: with DTLS, its
 * fragments must be in their order.
 */

int gw_hello_name(const unsigned char *body, size_t n,
    char name[GW_HELLO_NAME]);


#endif /* ATLS_GATEWAY_HELLO_H_INCLUDED */
