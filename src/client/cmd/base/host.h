
/* Hosts with ports: "host", "host:port", "[address]" or "[address]:port". */


#ifndef ATLS_CMD_HOST_H_INCLUDED
#define ATLS_CMD_HOST_H_INCLUDED


#include <stddef.h>


#define CMD_HOST_NAME       256


typedef struct {
    char     name[CMD_HOST_NAME];           /* without brackets */
    int      port;                          /* -1: none */
} cmd_host_t;


/*
 * Parses "host[:port]" into its canonical form: a name in lower case, or an
 * address as printed by inet_ntop(); an IPv6 address must be in brackets.
 * Addresses in other forms are not matched.  Returns 0 or -1.
 */

int cmd_host_parse(cmd_host_t *host, const char *text, size_t n);


#endif /* ATLS_CMD_HOST_H_INCLUDED */
