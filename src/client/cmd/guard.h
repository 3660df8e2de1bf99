
/*
 * Who may ask a forwarder.  Whatever runs on this machine may; but a browser
 * does what any web page wants, and one of these may not.
 *
 * A page can have the name of its own host resolve to this machine (DNS
 * rebinding): then Host tells.  The service's own name is no exception: to a
 * browser, a middlebox can be that host, without any key.
 * A page can send requests, without seeing the answers, to other hosts than its
 * own: then Origin, Referer and Sec-Fetch-Site tell.
 */


#ifndef ATLS_CMD_GUARD_H_INCLUDED
#define ATLS_CMD_GUARD_H_INCLUDED


#include "options.h"


typedef struct {
    const cmd_list_t  *hosts;       /* "host[:port]", others than our own */
    int                any;         /* everybody may ask for everything */
} cmd_guard_t;


/* Whether it is a "host[:port]"; an address of IPv6 is in brackets. */

int cmd_guard_is_host(const char *text);

/*
 * What is asked for is what the connection is to: its address, and "localhost"
 * if that is one of the loopback interface; or it is one of the hosts.  host:
 * of a Host header, NULL if there was none.
 */

int cmd_guard_host(const cmd_guard_t *guard, int fd, const char *host);

/* The same of who asks.  The headers of these names; NULL: there was none. */

int cmd_guard_page(const cmd_guard_t *guard, int fd, const char *origin,
    const char *referer, const char *site);


#endif /* ATLS_CMD_GUARD_H_INCLUDED */
