
/*
 * Who may ask a forwarder, see guard.h.
 */


#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "guard.h"


#define CMD_GUARD_NAME      256
#define CMD_GUARD_LOCAL     "localhost"


typedef enum {
    CMD_HOST_NAME = 0,
    CMD_HOST_LOOPBACK,              /* an address of it, or its name */
    CMD_HOST_ADDRESS
} cmd_host_e;


static cmd_host_e cmd_guard_parse(const char *host, char name[CMD_GUARD_NAME]);
static int cmd_guard_is_local(const char *name);


int
cmd_guard_host(const cmd_guard_t *guard, const char *host)
{
    char  name[CMD_GUARD_NAME];

    /* HTTP/1.0 without it is no browser's */

    return guard->any || host == NULL
           || cmd_guard_parse(host, name) != CMD_HOST_NAME
           || strcasecmp(name, guard->service) == 0
           || strcasecmp(name, guard->listen) == 0;
}


int
cmd_guard_page(const cmd_guard_t *guard, const char *host, const char *origin,
    const char *site)
{
    char         name[CMD_GUARD_NAME];
    const char  *authority;

    if (guard->any) {
        return 1;
    }

    if (origin == NULL) {
        return site == NULL || strcasecmp(site, "cross-site") != 0;
    }

    /* "null" is anybody's */

    authority = strstr(origin, "://");

    if (authority == NULL) {
        return 0;
    }

    authority += 3;

    return (host && strcasecmp(authority, host) == 0)
           || cmd_guard_parse(authority, name) == CMD_HOST_LOOPBACK;
}


/* What kind of host "host[:port]" has, and its name, which may be empty. */

static cmd_host_e
cmd_guard_parse(const char *host, char name[CMD_GUARD_NAME])
{
    size_t           n;
    struct in_addr   in;
    struct in6_addr  in6;

    n = strcspn(host, *host == '[' ? "]" : ":");
    name[0] = '\0';

    if (n >= CMD_GUARD_NAME) {
        return CMD_HOST_NAME;
    }

    memcpy(name, host, n);
    name[n] = '\0';

    if (*host == '[') {
        return inet_pton(AF_INET6, name + 1, &in6) != 1 ? CMD_HOST_NAME
               : IN6_IS_ADDR_LOOPBACK(&in6) ? CMD_HOST_LOOPBACK
               : CMD_HOST_ADDRESS;
    }

    if (inet_pton(AF_INET, name, &in) == 1) {
        return ntohl(in.s_addr) >> 24 == 127 ? CMD_HOST_LOOPBACK
                                             : CMD_HOST_ADDRESS;
    }

    return cmd_guard_is_local(name) ? CMD_HOST_LOOPBACK : CMD_HOST_NAME;
}


/* RFC 6761, section 6.3 */

static int
cmd_guard_is_local(const char *name)
{
    size_t  n, len;

    n = strlen(name);
    len = sizeof(CMD_GUARD_LOCAL) - 1;

    return n >= len && strcasecmp(name + n - len, CMD_GUARD_LOCAL) == 0
           && (n == len || name[n - len - 1] == '.');
}
