
/*
 * The target of the inner connection, see target.h.
 */


#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "target.h"


#define ATLS_WELL_KNOWN     "/.well-known/atls"
#define ATLS_HTTPS_PORT     443


static int atls_target_is_bare(CURLU *url);
static char *atls_print(const char *format, ...)
    __attribute__((format(printf, 1, 2)));


atls_error_e
atls_target_parse(atls_target_t *target, const char *text,
    atls_failure_t *failure)
{
    int            rc;
    char          *port;
    CURLU         *url;
    const char    *left, *right, *dot;
    unsigned long  n;

    url = curl_url();
    if (url == NULL) {
        return atls_fail_memory(failure);
    }

    port = NULL;
    atls_peer_parse(&target->peer, text);

    if (target->peer.host == NULL
        || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK
        || curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT)
           != CURLUE_OK
        || !atls_target_is_bare(url))
    {
        curl_free(port);
        curl_url_cleanup(url);

        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "invalid target \"%s\", must be https://host[:port]",
                         text);
    }

    n = strtoul(port, NULL, 10);

    curl_free(port);
    curl_url_cleanup(url);

    rc = target->peer.ip && strchr(target->peer.host, ':') != NULL;
    left = rc ? "[" : "";
    right = rc ? "]" : "";

    dot = target->peer.dot ? "." : "";

    target->origin = atls_print("https://%s%s%s%s:%lu", left,
                                target->peer.host, dot, right, n);

    target->authority = n == ATLS_HTTPS_PORT
                        ? atls_print("%s%s%s%s", left, target->peer.host, dot,
                                     right)
                        : atls_print("%s%s%s%s:%lu", left, target->peer.host,
                                     dot, right, n);

    if (target->origin == NULL || target->authority == NULL) {
        return atls_fail_memory(failure);
    }

    target->endpoint = atls_print("https://%s" ATLS_WELL_KNOWN,
                                  target->authority);

    return target->endpoint ? ATLS_OK : atls_fail_memory(failure);
}


/* Whether a URL has only a scheme, a host and a port. */

static int
atls_target_is_bare(CURLU *url)
{
    int                 bare;
    char               *part;
    size_t              i;
    static const CURLUPart  none[] = { CURLUPART_USER, CURLUPART_PASSWORD,
                                       CURLUPART_QUERY, CURLUPART_FRAGMENT };

    part = NULL;
    bare = curl_url_get(url, CURLUPART_SCHEME, &part, 0) == CURLUE_OK
           && strcasecmp(part, "https") == 0;
    curl_free(part);

    part = NULL;
    bare &= curl_url_get(url, CURLUPART_PATH, &part, 0) == CURLUE_OK
            && strcmp(part, "/") == 0;
    curl_free(part);

    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        part = NULL;
        bare &= curl_url_get(url, none[i], &part, 0) != CURLUE_OK;
        curl_free(part);
    }

    return bare;
}


void
atls_target_free(atls_target_t *target)
{
    atls_peer_free(&target->peer);
    free(target->authority);
    free(target->origin);
    free(target->endpoint);
}


static char *
atls_print(const char *format, ...)
{
    int       n;
    char     *text;
    va_list   args;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);

    text = n < 0 ? NULL : malloc((size_t) n + 1);

    if (text) {
        va_start(args, format);
        vsnprintf(text, (size_t) n + 1, format, args);
        va_end(args);
    }

    return text;
}
