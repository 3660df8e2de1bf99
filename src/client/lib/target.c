
/*
 * Whom the inner connection is to, see target.h.
 */


#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "target.h"


#define ATLS_WELL_KNOWN     "/.well-known/atls"
#define ATLS_HTTPS_PORT     443
#define ATLS_PEER_LABEL     63              /* RFC 1035, section 2.3.4 */


static int atls_target_is_bare(CURLU *url);
static int atls_peer_fill(atls_peer_t *peer, CURLU *url);
static int atls_peer_is_ip(const char *host);
static char *atls_print(const char *format, ...)
    __attribute__((format(printf, 1, 2)));


atls_error_e
atls_target_parse(atls_target_t *target, const char *text,
    atls_failure_t *failure)
{
    int            rc;
    char          *port;
    CURLU         *url;
    const char    *left, *right;
    unsigned long  n;

    url = curl_url();
    if (url == NULL) {
        return atls_fail_memory(failure);
    }

    port = NULL;

    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK
        || curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT)
           != CURLUE_OK
        || !atls_target_is_bare(url)
        || atls_peer_fill(&target->peer, url) == -1)
    {
        curl_free(port);
        curl_url_cleanup(url);

        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "the target \"%s\" is not https://host[:port]", text);
    }

    n = strtoul(port, NULL, 10);

    curl_free(port);
    curl_url_cleanup(url);

    rc = target->peer.ip && strchr(target->peer.host, ':') != NULL;
    left = rc ? "[" : "";
    right = rc ? "]" : "";

    target->origin = atls_print("https://%s%s%s:%lu", left, target->peer.host,
                                right, n);

    target->authority = n == ATLS_HTTPS_PORT
                        ? atls_print("%s%s%s", left, target->peer.host, right)
                        : atls_print("%s%s%s:%lu", left, target->peer.host,
                                     right, n);

    if (target->origin == NULL || target->authority == NULL) {
        return atls_fail_memory(failure);
    }

    target->endpoint = atls_print("https://%s" ATLS_WELL_KNOWN,
                                  target->authority);

    return target->endpoint ? ATLS_OK : atls_fail_memory(failure);
}


/* Nothing but scheme, host and port. */

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


void
atls_peer_parse(atls_peer_t *peer, const char *text)
{
    CURLU  *url;

    peer->host = NULL;

    url = curl_url();
    if (url == NULL) {
        return;
    }

    if (curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK) {
        (void) atls_peer_fill(peer, url);
    }

    curl_url_cleanup(url);
}


static int
atls_peer_fill(atls_peer_t *peer, CURLU *url)
{
    char    *host, *copy, *p;
    size_t   len;

    host = NULL;

    if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        return -1;
    }

    len = strlen(host);

    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        copy = strndup(host + 1, len - 2);

    } else {
        if (len && host[len - 1] == '.') {
            len--;
        }

        copy = strndup(host, len);
    }

    curl_free(host);

    if (copy == NULL) {
        return -1;
    }

    for (p = copy; *p; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            *p = (char) (*p | 0x20);
        }
    }

    peer->ip = atls_peer_is_ip(copy);

    if (!peer->ip && !atls_peer_is_name(copy)) {
        free(copy);
        return -1;
    }

    peer->host = copy;

    return 0;
}


static int
atls_peer_is_ip(const char *host)
{
    unsigned char  address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, address) == 1
           || inet_pton(AF_INET6, host, address) == 1;
}


/*
 * To OpenSSL, a name that begins with a dot is one of all that end with it:
 * there are no empty labels.
 */

int
atls_peer_is_name(const char *host)
{
    size_t  n;

    do {
        n = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-_");

        if (n == 0 || n > ATLS_PEER_LABEL) {
            return 0;
        }

        host += n;

    } while (*host++ == '.');

    return host[-1] == '\0';
}


void
atls_peer_free(atls_peer_t *peer)
{
    free((void *) peer->host);
    peer->host = NULL;
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
