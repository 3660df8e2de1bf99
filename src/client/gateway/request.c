
/*
 * CoAP requests, see request.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../cmd/base/util.h"
#include "request.h"


#define GW_RTAG             8           /* bytes, RFC 9175, section 3.2 */


static int gw_request_options(gw_request_t *request, const coap_pdu_t *pdu);
static void gw_request_key(gw_request_t *request, const coap_pdu_t *pdu);


int
gw_request_read(gw_request_t *request, const coap_pdu_t *pdu,
    const gw_services_t *services)
{
    int               code;
    coap_bin_const_t  token;

    token = coap_pdu_get_token(pdu);

    if (token.length > GW_TOKEN) {
        return COAP_RESPONSE_CODE(400);
    }

    memcpy(request->token, token.s, token.length);
    request->ntoken = token.length;

    request->get = coap_pdu_get_code(pdu) == COAP_REQUEST_CODE_GET;
    request->format = GW_NO_FORMAT;
    request->accept = GW_NO_FORMAT;

    code = gw_request_options(request, pdu);

    if (code == 0 && gw_path_read(&request->path, pdu, services) == -1) {
        code = COAP_RESPONSE_CODE(404);
        request->note = "no such path";
    }

    gw_request_key(request, pdu);

    return code;
}


static int
gw_request_options(gw_request_t *request, const coap_pdu_t *pdu)
{
    int                   rc;
    size_t                n;
    coap_opt_t           *option;
    const unsigned char  *value;
    coap_opt_iterator_t   iterator;

    rc = 0;

    if (coap_option_iterator_init(pdu, &iterator, COAP_OPT_ALL) == NULL) {
        return 0;                       /* no options */
    }

    while (rc == 0 && (option = coap_option_next(&iterator))) {

        value = coap_opt_value(option);
        n = coap_opt_length(option);

        switch (iterator.number) {

        case COAP_OPTION_URI_HOST:
            if (n >= GW_HOST || memchr(value, '\0', n)) {
                return COAP_RESPONSE_CODE(400);
            }

            memcpy(request->host, value, n);
            request->host[n] = '\0';
            break;

        case COAP_OPTION_CONTENT_FORMAT:
            request->format = coap_decode_var_bytes(value, n);
            break;

        case COAP_OPTION_ACCEPT:
            request->accept = coap_decode_var_bytes(value, n);
            break;

        case COAP_OPTION_BLOCK1:
            request->has_block1 = 1;
            rc = cmd_block_read(&request->block1, option);
            break;

        case COAP_OPTION_BLOCK2:
            request->has_block2 = 1;
            rc = cmd_block_read(&request->block2, option);
            break;

        case COAP_OPTION_ECHO:
            request->echo = value;
            request->necho = n;
            break;
        }
    }

    return rc == 0 ? 0 : COAP_RESPONSE_CODE(400);
}


/* Blocks of one body have the same path and Request-Tag. */

static void
gw_request_key(gw_request_t *request, const coap_pdu_t *pdu)
{
    size_t                i, n;
    char                  tag[2 * GW_RTAG + 1];
    coap_opt_t           *option;
    const unsigned char  *value;
    const gw_path_t      *path = &request->path;
    coap_opt_iterator_t   iterator;

    option = coap_check_option(pdu, COAP_OPTION_RTAG, &iterator);
    value = option ? coap_opt_value(option) : NULL;
    n = option ? coap_opt_length(option) : 0;

    for (i = 0; i < n && i < GW_RTAG; i++) {
        snprintf(tag + 2 * i, 3, "%02x", value[i]);
    }

    tag[2 * i] = '\0';

    request->key = cmd_format("%s/%s %s",
                              path->service && path->service->name
                              ? path->service->name : "",
                              path->relative ? path->relative : "", tag);
}


void
gw_request_free(gw_request_t *request)
{
    gw_path_free(&request->path);
    free(request->key);
    free(request->relative);
}
