
/*
 * Access control of atls forward.  All local programs are allowed.  Web pages
 * in a local browser are not:
 *
 * - A page can let the name of its own host resolve to this machine (DNS
 *   rebinding), so Host is checked.  The name of the service is not allowed by
 *   default either: to a browser, a middlebox can impersonate an HTTP server
 *   with this name.
 *
 * - A page can send requests to other origins, without reading the responses,
 *   so Origin, Referer and Sec-Fetch-Site are checked.
 */


#ifndef ATLS_CMD_GUARD_H_INCLUDED
#define ATLS_CMD_GUARD_H_INCLUDED


#include "../base/host.h"
#include "../options/options.h"


typedef struct {
    const cmd_list_t  *hosts;       /* --allow-host: "host[:port]" */
    int                any;         /* --any-host */
} cmd_guard_t;


/*
 * Gets the local address and port of a connection.  If it has none, the name is
 * empty.
 */

void cmd_guard_local(cmd_host_t *local, int fd);

/*
 * Whether a Host header is allowed: it must be the local address and port of
 * the connection, or "localhost" if that is a loopback address, or one of the
 * allowed hosts.  The host is NULL if there is no header.
 */

int cmd_guard_host(const cmd_guard_t *guard, const cmd_host_t *local,
    const char *host);

/*
 * Whether a request is allowed by Origin, Referer and Sec-Fetch-Site; each may
 * be NULL.
 */

int cmd_guard_page(const cmd_guard_t *guard, const cmd_host_t *local,
    const char *origin, const char *referer, const char *site);


#endif /* ATLS_CMD_GUARD_H_INCLUDED */
