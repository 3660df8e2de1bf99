
/*
 * coap and coaps URIs, see uri.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/util.h"
#include "uri.h"


int
cmd_coap_uri_parse(cmd_coap_uri_t *uri, const char *text)
{
    coap_uri_t  parsed;

    if (coap_split_uri((const uint8_t *) text, strlen(text), &parsed) < 0
        || (parsed.scheme != COAP_URI_SCHEME_COAP
            && parsed.scheme != COAP_URI_SCHEME_COAPS)
        || parsed.host.length == 0)
    {
        return -1;
    }

    uri->proto = parsed.scheme == COAP_URI_SCHEME_COAPS ? COAP_PROTO_DTLS
                                                        : COAP_PROTO_UDP;
    uri->host = cmd_copy((const char *) parsed.host.s, parsed.host.length);
    uri->port = parsed.port;
    uri->query = parsed.query.length != 0;
    uri->bare = parsed.path.length == 0 && !uri->query;

    return 0;
}


int
cmd_coap_uri_resolve(const cmd_coap_uri_t *uri, int family,
    struct addrinfo **found)
{
    char             port[16];
    struct addrinfo  hints;

    memset(&hints, 0, sizeof(hints));
    hints.ai_family = family;
    hints.ai_socktype = SOCK_DGRAM;

    snprintf(port, sizeof(port), "%u", uri->port);

    return getaddrinfo(uri->host, port, &hints, found);
}


void
cmd_coap_uri_free(cmd_coap_uri_t *uri)
{
    free(uri->host);
    uri->host = NULL;
}


void
cmd_coap_address(coap_address_t *address, const struct addrinfo *info)
{
    coap_address_init(address);

    address->size = info->ai_addrlen;
    memcpy(&address->addr, info->ai_addr, info->ai_addrlen);
}
