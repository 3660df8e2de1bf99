
/*
 * Hosts with ports, see host.h.
 */


#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "../../lib/peer.h"
#include "host.h"


static int cmd_host_parse_port(cmd_host_t *host, const char *text, size_t n);


int
cmd_host_parse(cmd_host_t *host, const char *text, size_t n)
{
    char            *p, name[CMD_HOST_NAME];
    size_t           len;
    const char      *end;
    struct in6_addr  in6;

    end = n && *text == '[' ? memchr(text, ']', n) : NULL;

    if (end) {
        text++;
        n--;
        len = (size_t) (end - text);

    } else {
        end = memchr(text, ':', n);
        len = end ? (size_t) (end - text) : n;
    }

    if (len == 0 || len >= CMD_HOST_NAME || memchr(text, '\0', len)) {
        return -1;
    }

    memcpy(name, text, len);
    name[len] = '\0';

    if (end && *end == ']') {
        len++;

        if (inet_pton(AF_INET6, name, &in6) != 1
            || inet_ntop(AF_INET6, &in6, host->name, CMD_HOST_NAME) == NULL)
        {
            return -1;
        }

    } else {
        for (p = name; *p; p++) {
            *p = (char) (*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
        }

        if (!atls_peer_is_name(name)) {
            return -1;
        }

        memcpy(host->name, name, len + 1);
    }

    return cmd_host_parse_port(host, text + len, n - len);
}


static int
cmd_host_parse_port(cmd_host_t *host, const char *text, size_t n)
{
    size_t  i;

    host->port = -1;

    if (n == 0) {
        return 0;
    }

    if (*text != ':' || n == 1 || n > sizeof(":65535") - 1) {
        return -1;
    }

    host->port = 0;

    for (i = 1; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }

        host->port = host->port * 10 + (text[i] - '0');
    }

    return host->port <= 65535 ? 0 : -1;
}
