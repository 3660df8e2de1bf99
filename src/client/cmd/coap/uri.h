
/* coap and coaps URIs, and their addresses. */


#ifndef ATLS_CMD_COAP_URI_H_INCLUDED
#define ATLS_CMD_COAP_URI_H_INCLUDED


#include <netdb.h>

#include <coap3/coap.h>


typedef struct {
    coap_proto_t     proto;             /* UDP or DTLS */
    char            *host;              /* allocated */
    unsigned         port;
    int              bare;              /* there is no path and no query */
    int              query;             /* there is one */
} cmd_coap_uri_t;


/*
 * Returns 0, or -1 with nothing to be freed if it is not a coap or coaps URI.
 */

int cmd_coap_uri_parse(cmd_coap_uri_t *uri, const char *text);

/*
 * The addresses of the host; family may be AF_UNSPEC.  Returns the result of
 * getaddrinfo().
 */

int cmd_coap_uri_resolve(const cmd_coap_uri_t *uri, int family,
    struct addrinfo **found);

void cmd_coap_uri_free(cmd_coap_uri_t *uri);

/* An address in libcoap's form. */

void cmd_coap_address(coap_address_t *address, const struct addrinfo *info);


#endif /* ATLS_CMD_COAP_URI_H_INCLUDED */
