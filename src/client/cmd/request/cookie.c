
/*
 * A cookie, see cookie.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "../base/util.h"
#include "cookie.h"


#define CMD_COOKIE_FIELDS       7
#define CMD_COOKIE_HTTP_ONLY    "#HttpOnly_"


static int cmd_cookie_in_domain(const char *domain, const char *host);
static int cmd_cookie_in_path(const char *path, const char *requested);
static int cmd_cookie_longer(const char *one, const char *two);


int
cmd_cookie_split(cmd_cookie_t *cookie, const char *line)
{
    int    i;
    char  *fields[CMD_COOKIE_FIELDS], *p;

    memset(cookie, 0, sizeof(cmd_cookie_t));

    if (strncmp(line, CMD_COOKIE_HTTP_ONLY, sizeof(CMD_COOKIE_HTTP_ONLY) - 1)
        == 0)
    {
        cookie->http_only = 1;
        line += sizeof(CMD_COOKIE_HTTP_ONLY) - 1;
    }

    cookie->line = p = cmd_copy(line, strlen(line));

    for (i = 0; i < CMD_COOKIE_FIELDS; i++) {

        if (p == NULL) {
            cmd_cookie_free(cookie);
            return -1;
        }

        fields[i] = p;
        p = strchr(p, '\t');

        if (p) {
            *p++ = '\0';
        }
    }

    cookie->domain = fields[0] + (*fields[0] == '.');
    cookie->subdomains = strcmp(fields[1], "TRUE") == 0;
    cookie->path = fields[2];
    cookie->secure = strcmp(fields[3], "TRUE") == 0;
    cookie->expires = strtoll(fields[4], NULL, 10);
    cookie->name = fields[5];
    cookie->value = fields[6];

    return 0;
}


char *
cmd_cookie_line(const cmd_cookie_t *cookie)
{
    return cmd_format("%s%s%s\t%s\t%s\t%s\t%lld\t%s\t%s",
                      cookie->http_only ? CMD_COOKIE_HTTP_ONLY : "",
                      cookie->subdomains ? "." : "", cookie->domain,
                      cookie->subdomains ? "TRUE" : "FALSE", cookie->path,
                      cookie->secure ? "TRUE" : "FALSE", cookie->expires,
                      cookie->name, cookie->value);
}


int
cmd_cookie_allowed(const cmd_cookie_t *cookie, const atls_peer_t *peer)
{
    const char  *dot;

    if (strcasecmp(cookie->domain, peer->host) == 0) {
        return 1;
    }

    /* as in libcurl without such a list, there must be two labels */

    dot = strchr(cookie->domain, '.');

    return cookie->subdomains && !peer->ip && dot && dot[1]
           && cmd_cookie_in_domain(cookie->domain, peer->host);
}


int
cmd_cookie_matches(const cmd_cookie_t *cookie, const atls_peer_t *peer,
    const char *path)
{
    if (cookie->expires && cookie->expires < (long long) time(NULL)) {
        return 0;
    }

    return (strcasecmp(cookie->domain, peer->host) == 0
            || (cookie->subdomains && !peer->ip
                && cmd_cookie_in_domain(cookie->domain, peer->host)))
           && cmd_cookie_in_path(cookie->path, path);
}


/* RFC 6265, section 5.1.3. */

static int
cmd_cookie_in_domain(const char *domain, const char *host)
{
    size_t  n, size;

    n = strlen(domain);
    size = strlen(host);

    return size > n && host[size - n - 1] == '.'
           && strcasecmp(domain, host + size - n) == 0;
}


/* RFC 6265, section 5.1.4.  As in libcurl, the path may be quoted. */

static int
cmd_cookie_in_path(const char *path, const char *requested)
{
    size_t  n;

    path += *path == '"';
    n = strlen(path);

    n -= n && path[n - 1] == '"';

    if (*path != '/') {
        return 1;
    }

    n -= path[n - 1] == '/';

    return strncmp(path, requested, n) == 0
           && (requested[n] == '\0' || strchr("/?", requested[n]));
}


/* Long values are the first, and then new cookies. */

int
cmd_cookie_order(const void *one, const void *two)
{
    int                  order;
    const cmd_cookie_t  *a = one, *b = two;

    order = cmd_cookie_longer(a->path, b->path);

    if (order == 0) {
        order = cmd_cookie_longer(a->domain, b->domain);
    }

    if (order == 0) {
        order = cmd_cookie_longer(a->name, b->name);
    }

    return order ? order : a->number < b->number ? 1 : -1;
}


static int
cmd_cookie_longer(const char *one, const char *two)
{
    size_t  a, b;

    a = strlen(one);
    b = strlen(two);

    return a < b ? 1 : a > b ? -1 : 0;
}


void
cmd_cookie_free(cmd_cookie_t *cookie)
{
    free(cookie->line);
    cookie->line = NULL;
}
