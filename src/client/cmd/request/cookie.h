
/*
 * A cookie: a line of libcurl, in the format of Netscape's files, with seven
 * fields.
 */


#ifndef ATLS_CMD_COOKIE_H_INCLUDED
#define ATLS_CMD_COOKIE_H_INCLUDED


#include <stddef.h>

#include "../../lib/peer.h"


typedef struct {
    const char  *domain;                /* without a dot at its beginning */
    int          subdomains;
    const char  *path;
    int          secure;
    long long    expires;               /* time(); 0: a session cookie */
    const char  *name;
    const char  *value;
    int          http_only;

    char        *line;                  /* has the strings */
    size_t       number;                /* in the order of creation */
} cmd_cookie_t;


/* Return 0, or -1 if the line is invalid. */

int cmd_cookie_split(cmd_cookie_t *cookie, const char *line);

char *cmd_cookie_line(const cmd_cookie_t *cookie);

/* Whether a host may set the domain: there is no list of public suffixes. */

int cmd_cookie_allowed(const cmd_cookie_t *cookie, const atls_peer_t *peer);

/* Whether the cookie is sent; the requested path may have a query string. */

int cmd_cookie_matches(const cmd_cookie_t *cookie, const atls_peer_t *peer,
    const char *path);

/* Compares cookies for qsort(), in the order of libcurl. */

int cmd_cookie_order(const void *one, const void *two);

void cmd_cookie_free(cmd_cookie_t *cookie);


#endif /* ATLS_CMD_COOKIE_H_INCLUDED */
