
/*
 * POSTs over another transport, see transport.h.
 */


#include "transport.h"


#define ATLS_CARRIER_HEADER     65536       /* maximum size */


static int atls_carrier_read(void *data, const void *bytes, size_t n);
static int atls_carrier_wait(void *data);


int
atls_carrier_open(atls_carrier_t *carrier, const atls_transport_t *transport,
    const char *url, const atls_route_conf_t *route, atls_failure_t *failure)
{
    carrier->transport = *transport;
    carrier->handle = transport->create(transport->conf, url, route, failure);

    return carrier->handle ? 0 : -1;
}


void
atls_carrier_close(atls_carrier_t *carrier)
{
    if (carrier->handle) {
        carrier->transport.free(carrier->handle);
    }

    atls_response_free(&carrier->response);
}


CURLcode
atls_carrier_post(atls_carrier_t *carrier, atls_transport_post_t *post,
    const atls_request_t *request, char *error)
{
    CURLcode          code;
    atls_response_t  *response = &carrier->response;

    atls_response_begin(response, request, &carrier->debug,
                        ATLS_CARRIER_HEADER, &carrier->failure);

    post->read = atls_carrier_read;
    post->wait = atls_carrier_wait;
    post->data = carrier;
    post->sent = 0;

    code = carrier->transport.post(carrier->handle, post, error);

    carrier->sent = post->sent;

    if (code != CURLE_OK) {
        return code;
    }

    atls_response_end(response);

    return response->state == ATLS_RESPONSE_COMPLETE ? CURLE_OK
                                                     : CURLE_PARTIAL_FILE;
}


static int
atls_carrier_read(void *data, const void *bytes, size_t n)
{
    atls_carrier_t  *carrier = data;

    return atls_response_parse(&carrier->response, bytes, n) == ATLS_OK ? 0
                                                                        : -1;
}


static int
atls_carrier_wait(void *data)
{
    atls_carrier_t        *carrier = data;
    const atls_request_t  *request = carrier->response.request;

    return request->on_wait(request->data);
}
