
/*
 * CoAP responses, see response.h.
 */


#include <string.h>

#include <curl/curl.h>

#include "response.h"


static int cmd_coap_response_option(cmd_coap_response_t *response,
    unsigned number, const coap_opt_t *option);
static int cmd_coap_response_opaque(unsigned char *to, size_t *n, size_t max,
    const coap_opt_t *option);
static int cmd_coap_response_segment(atls_buf_t *location,
    const coap_opt_t *option);


void
cmd_coap_response_read(cmd_coap_response_t *response, const coap_pdu_t *pdu)
{
    size_t                n;
    atls_buf_t            location, payload;
    coap_opt_t           *option;
    const uint8_t        *bytes;
    coap_opt_iterator_t   iterator;

    location = response->location;
    payload = response->payload;

    memset(response, 0, sizeof(cmd_coap_response_t));

    response->location = location;
    response->location.len = 0;
    response->payload = payload;
    response->payload.len = 0;
    response->format = CMD_COAP_NO_FORMAT;
    response->code = coap_pdu_get_code(pdu);

    if (coap_option_iterator_init(pdu, &iterator, COAP_OPT_ALL)) {

        while ((option = coap_option_next(&iterator))) {
            if (cmd_coap_response_option(response, iterator.number, option)
                == -1)
            {
                response->invalid = 1;
            }
        }
    }

    if (coap_get_data(pdu, &n, &bytes)
        && atls_buf_add(&response->payload, bytes, n) == -1)
    {
        response->invalid = 1;
    }
}


static int
cmd_coap_response_option(cmd_coap_response_t *response, unsigned number,
    const coap_opt_t *option)
{
    switch (number) {

    case COAP_OPTION_BLOCK1:
        response->has_block1 = 1;
        return cmd_block_read(&response->block1, option);

    case COAP_OPTION_BLOCK2:
        response->has_block2 = 1;
        return cmd_block_read(&response->block2, option);

    case COAP_OPTION_ETAG:
        return cmd_coap_response_opaque(response->etag, &response->netag,
                                        CMD_COAP_ETAG, option);

    case COAP_OPTION_ECHO:
        return cmd_coap_response_opaque(response->echo, &response->necho,
                                        CMD_COAP_ECHO, option);

    case COAP_OPTION_CONTENT_FORMAT:
        response->format = coap_decode_var_bytes(coap_opt_value(option),
                                                 coap_opt_length(option));
        return 0;

    case COAP_OPTION_MAXAGE:
        response->max_age = coap_decode_var_bytes(coap_opt_value(option),
                                                  coap_opt_length(option));
        return 0;

    case COAP_OPTION_LOCATION_PATH:
        return cmd_coap_response_segment(&response->location, option);

    default:
        return 0;
    }
}


static int
cmd_coap_response_opaque(unsigned char *to, size_t *n, size_t max,
    const coap_opt_t *option)
{
    *n = coap_opt_length(option);

    if (*n > max) {
        *n = 0;
        return -1;
    }

    memcpy(to, coap_opt_value(option), *n);

    return 0;
}


static int
cmd_coap_response_segment(atls_buf_t *location, const coap_opt_t *option)
{
    int    rc;
    char  *segment;

    /* curl_easy_escape() takes 0 as a text that ends with a null */

    if (coap_opt_length(option) == 0) {
        return -1;
    }

    segment = curl_easy_escape(NULL, (const char *) coap_opt_value(option),
                               (int) coap_opt_length(option));

    rc = segment && atls_buf_print(location, "/%s", segment) == 0 ? 0 : -1;
    curl_free(segment);

    return rc;
}


void
cmd_coap_response_free(cmd_coap_response_t *response)
{
    atls_buf_free(&response->location);
    atls_buf_free(&response->payload);
}
