
/*
 * Paths, see path.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../cmd/base/util.h"
#include "path.h"


#define GW_SEGMENT          255         /* bytes, RFC 7252, section 5.10 */
#define GW_RELATIVE         1024


static int gw_path_segment(gw_path_t *path, const unsigned char *bytes,
    size_t n);
static int gw_path_is_segment(const unsigned char *bytes, size_t n);


int
gw_path_read(gw_path_t *path, const coap_pdu_t *pdu,
    const gw_services_t *services)
{
    size_t                n;
    unsigned              segments;
    coap_opt_t           *option;
    const unsigned char  *bytes;
    coap_opt_filter_t     filter;
    coap_opt_iterator_t   iterator;

    static const char *const  well_known[] = { ".well-known", "atls" };

    memset(path, 0, sizeof(gw_path_t));

    coap_option_filter_clear(&filter);
    coap_option_filter_set(&filter, COAP_OPTION_URI_PATH);

    if (coap_option_iterator_init(pdu, &iterator, &filter) == NULL) {
        return -1;
    }

    for (segments = 0; (option = coap_option_next(&iterator)); segments++) {

        bytes = coap_opt_value(option);
        n = coap_opt_length(option);

        if (segments < 2) {
            if (n != strlen(well_known[segments])
                || memcmp(bytes, well_known[segments], n) != 0)
            {
                return -1;
            }

            continue;
        }

        if (segments == 2) {
            path->service = gw_service_named(services, (const char *) bytes,
                                             n);

            if (path->service) {
                continue;
            }

            path->service = gw_service_find(services, NULL);
        }

        if (gw_path_segment(path, bytes, n) == -1) {
            return -1;
        }
    }

    /* the name of a service alone is not a path */

    return segments >= 2 && (segments == 2 || (path->service && path->relative))
           ? 0 : -1;
}


static int
gw_path_segment(gw_path_t *path, const unsigned char *bytes, size_t n)
{
    char  *escaped, *longer;

    if (!gw_path_is_segment(bytes, n)) {
        return -1;
    }

    escaped = curl_easy_escape(NULL, (const char *) bytes, (int) n);
    if (escaped == NULL) {
        return -1;
    }

    longer = cmd_format("%s%s%s", path->relative ? path->relative : "",
                        path->relative ? "/" : "", escaped);

    curl_free(escaped);
    free(path->relative);
    path->relative = longer;

    return strlen(longer) <= GW_RELATIVE ? 0 : -1;
}


/*
 * A server may decode an escaped slash before it resolves "..": a device could
 * reach any path.
 */

static int
gw_path_is_segment(const unsigned char *bytes, size_t n)
{
    size_t  i;

    if (n == 0 || n > GW_SEGMENT || bytes[0] == '.') {
        return 0;
    }

    for (i = 0; i < n; i++) {
        if (bytes[i] <= ' ' || bytes[i] > '~' || strchr("/\\%?#;", bytes[i])) {
            return 0;
        }
    }

    return 1;
}


int
gw_path_write(gw_message_t *message, const gw_services_t *services,
    const gw_service_t *service, const char *relative)
{
    int          n, named;
    char        *segment;
    size_t       length;

    if (strlen(relative) > GW_RELATIVE) {
        return -1;
    }

    gw_message_option(message, COAP_OPTION_LOCATION_PATH, ".well-known", 11);
    gw_message_option(message, COAP_OPTION_LOCATION_PATH, "atls", 4);

    named = service->name != NULL;

    if (named) {
        gw_message_option(message, COAP_OPTION_LOCATION_PATH, service->name,
                          strlen(service->name));
    }

    for ( ;; ) {
        length = strcspn(relative, "/");

        segment = curl_easy_unescape(NULL, relative, (int) length, &n);

        if (segment == NULL
            || !gw_path_is_segment((unsigned char *) segment, (size_t) n)
            || (!named && gw_service_named(services, segment, (size_t) n)))
        {
            curl_free(segment);
            return -1;
        }

        gw_message_option(message, COAP_OPTION_LOCATION_PATH, segment,
                          (size_t) n);
        curl_free(segment);
        named = 1;

        if (relative[length] == '\0') {
            return 0;
        }

        relative += length + 1;
    }
}


void
gw_path_free(gw_path_t *path)
{
    free(path->relative);
    path->relative = NULL;
}
