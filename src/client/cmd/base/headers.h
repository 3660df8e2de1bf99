
/* Headers of forwarded messages. */


#ifndef ATLS_CMD_HEADERS_H_INCLUDED
#define ATLS_CMD_HEADERS_H_INCLUDED


#include "../../lib/atls.h"


typedef struct {
    atls_header_t   *items;
    size_t           n;
} cmd_headers_t;


void cmd_headers_add(cmd_headers_t *headers, const char *name,
    const char *value);

/* The value of the first header with the name, or NULL. */

const char *cmd_headers_get(const cmd_headers_t *headers, const char *name);

unsigned cmd_headers_count(const cmd_headers_t *headers, const char *name);

/*
 * Whether the comma-separated values of a header have an item; case is ignored.
 */

int cmd_headers_has(const cmd_headers_t *headers, const char *name,
    const char *item);

/*
 * Removes hop-by-hop headers (RFC 9110, section 7.6.1) and headers from a list
 * of names, terminated by NULL.
 */

void cmd_headers_strip(cmd_headers_t *headers, const char *const *names);

void cmd_headers_free(cmd_headers_t *headers);


#endif /* ATLS_CMD_HEADERS_H_INCLUDED */
