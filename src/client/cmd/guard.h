
/*
 * Who may ask a forwarder.  Whatever runs on this machine may; but a browser
 * does what any web page wants, and one of these may not.
 *
 * A page can have the name of its own host resolve to this machine (DNS
 * rebinding): then Host tells.  It can send requests, without seeing the
 * answers, to other hosts than its own: then Origin and Sec-Fetch-Site do.
 */


#ifndef ATLS_CMD_GUARD_H_INCLUDED
#define ATLS_CMD_GUARD_H_INCLUDED


typedef struct {
    const char  *service;           /* names of hosts that are asked for */
    const char  *listen;
    int          any;               /* everybody may ask for everything */
} cmd_guard_t;


/*
 * What is asked for is this machine, by a name that cannot be anybody's, or
 * the service.  host: of a Host header, NULL if there was none.
 */

int cmd_guard_host(const cmd_guard_t *guard, const char *host);

/* The headers of these names; NULL: there was none. */

int cmd_guard_page(const cmd_guard_t *guard, const char *host,
    const char *origin, const char *site);


#endif /* ATLS_CMD_GUARD_H_INCLUDED */
