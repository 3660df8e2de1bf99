
/*
 * The host of a connection's peer, see peer.h.
 */


#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "peer.h"


#define ATLS_PEER_LABEL     63              /* RFC 1035, section 2.3.4 */


static int atls_peer_fill(atls_peer_t *peer, CURLU *url);
static int atls_peer_is_ip(const char *host);


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
    peer->dot = 0;

    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        copy = strndup(host + 1, len - 2);

    } else {
        if (len && host[len - 1] == '.') {
            peer->dot = 1;
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
 * Empty labels are rejected: for OpenSSL, a name that begins with a dot matches
 * all its subdomains.
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
