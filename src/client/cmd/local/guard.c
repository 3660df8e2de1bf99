
/*
 * Access control of atls forward, see guard.h.
 */


#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "guard.h"


#define CMD_GUARD_LOCAL     "localhost"
#define CMD_GUARD_HTTP      80
#define CMD_GUARD_HTTPS     443


static int cmd_guard_is_local(const cmd_host_t *local, const cmd_host_t *host);
static int cmd_guard_is_listed(const cmd_guard_t *guard,
    const cmd_host_t *host);
static int cmd_guard_url(const cmd_guard_t *guard, const cmd_host_t *local,
    const char *url);


/*
 * If the socket listens on all addresses, this is the address that the client
 * connected to.
 */

void
cmd_guard_local(cmd_host_t *local, int fd)
{
    const void              *address;
    socklen_t                len;
    struct sockaddr_storage  ss;
    struct sockaddr_in      *sin = (struct sockaddr_in *) &ss;
    struct sockaddr_in6     *sin6 = (struct sockaddr_in6 *) &ss;

    memset(local, 0, sizeof(cmd_host_t));
    memset(&ss, 0, sizeof(ss));

    len = sizeof(ss);
    (void) getsockname(fd, (struct sockaddr *) &ss, &len);

    switch (ss.ss_family) {

    case AF_INET:
        address = &sin->sin_addr;
        local->port = ntohs(sin->sin_port);
        break;

    case AF_INET6:
        address = &sin6->sin6_addr;
        local->port = ntohs(sin6->sin6_port);
        break;

    default:
        return;
    }

    (void) inet_ntop(ss.ss_family, address, local->name, CMD_HOST_NAME);
}


int
cmd_guard_host(const cmd_guard_t *guard, const cmd_host_t *local,
    const char *host)
{
    cmd_host_t  asked;

    /* browsers always send Host, other HTTP/1.0 clients may not */

    return guard->any || host == NULL
           || (cmd_host_parse(&asked, host, strlen(host)) == 0
               && (cmd_guard_is_local(local, &asked)
                   || cmd_guard_is_listed(guard, &asked)));
}


int
cmd_guard_page(const cmd_guard_t *guard, const cmd_host_t *local,
    const char *origin, const char *referer, const char *site)
{
    if (guard->any) {
        return 1;
    }

    if (site && strcasecmp(site, "same-origin") != 0
        && strcasecmp(site, "none") != 0)
    {
        return 0;
    }

    if (origin) {
        return cmd_guard_url(guard, local, origin);
    }

    /* Referer is checked for browsers without Sec-Fetch-Site */

    return referer == NULL || site || cmd_guard_url(guard, local, referer);
}


/*
 * Whether a host is the local address of the connection.  It may have no port:
 * browsers always send the port unless it is the default one.
 */

static int
cmd_guard_is_local(const cmd_host_t *local, const cmd_host_t *host)
{
    int  loopback;

    if (host->port != -1 && host->port != local->port) {
        return 0;
    }

    loopback = strncmp(local->name, "127.", 4) == 0
               || strcmp(local->name, "::1") == 0;

    return strcmp(host->name, local->name) == 0
           || (loopback && strcmp(host->name, CMD_GUARD_LOCAL) == 0);
}


static int
cmd_guard_is_listed(const cmd_guard_t *guard, const cmd_host_t *host)
{
    size_t       i;
    const char  *text;
    cmd_host_t   listed;

    for (i = 0; i < guard->hosts->n; i++) {

        text = guard->hosts->items[i];

        if (cmd_host_parse(&listed, text, strlen(text)) == 0
            && strcmp(listed.name, host->name) == 0
            && (listed.port == -1 || listed.port == host->port))
        {
            return 1;
        }
    }

    return 0;
}


/* Whether the origin of a URL is allowed; "null" is not. */

static int
cmd_guard_url(const cmd_guard_t *guard, const cmd_host_t *local,
    const char *url)
{
    int          http;
    cmd_host_t   host;
    const char  *authority;

    http = strncasecmp(url, "http://", 7) == 0;

    if (!http && strncasecmp(url, "https://", 8) != 0) {
        return 0;
    }

    authority = strstr(url, "://") + 3;

    if (cmd_host_parse(&host, authority, strcspn(authority, "/?#")) == -1) {
        return 0;
    }

    if (host.port == -1) {
        host.port = http ? CMD_GUARD_HTTP : CMD_GUARD_HTTPS;
    }

    return (http && cmd_guard_is_local(local, &host))
           || cmd_guard_is_listed(guard, &host);
}
