
/* The server name in a ClientHello. */


#ifndef ATLS_GATEWAY_HELLO_H_INCLUDED
#define ATLS_GATEWAY_HELLO_H_INCLUDED


#include <stddef.h>


#define GW_HELLO_NAME   256


/*
 * Whether a body begins with a ClientHello, as the module recognizes it: by the
 * header of the record, and the type, length and version of the message.
 */

int gw_hello_is(const unsigned char *body, size_t n);

/*
 * Copies the name of the server_name extension (RFC 6066, section 3).  Returns
 * -1 if there is none, or if the ClientHello is not complete.
 */

int gw_hello_name(const unsigned char *body, size_t n,
    char name[GW_HELLO_NAME]);


#endif /* ATLS_GATEWAY_HELLO_H_INCLUDED */
