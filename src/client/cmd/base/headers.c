
/*
 * Headers of forwarded messages, see headers.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/http.h"
#include "headers.h"
#include "util.h"


#define CMD_HEADERS_STEP    16              /* items of an allocation */


static int cmd_headers_has_item(const char *list, const char *item);
static int cmd_headers_in_list(const char *const *names, const char *name);
static void cmd_headers_named(const cmd_headers_t *headers, const char *list,
    char *named);
static void cmd_headers_free_item(atls_header_t *header);


static const char *const  cmd_headers_hop[] = {
    "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate",
    "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
    "HTTP2-Settings", NULL
};


void
cmd_headers_add(cmd_headers_t *headers, const char *name, const char *value)
{
    char           *copy;
    size_t          n;
    atls_header_t  *header;

    if (headers->n % CMD_HEADERS_STEP == 0) {
        headers->items = cmd_realloc(headers->items,
                                     (headers->n + CMD_HEADERS_STEP)
                                     * sizeof(atls_header_t));
    }

    /* the name and the value are a single allocation */

    n = strlen(name) + 1;
    copy = cmd_realloc(NULL, n + strlen(value) + 1);

    header = &headers->items[headers->n++];

    header->name = memcpy(copy, name, n);
    header->value = strcpy(copy + n, value);
}


const char *
cmd_headers_get(const cmd_headers_t *headers, const char *name)
{
    size_t  i;

    for (i = 0; i < headers->n; i++) {
        if (atls_http_is_name(headers->items[i].name, name)) {
            return headers->items[i].value;
        }
    }

    return NULL;
}


unsigned
cmd_headers_count(const cmd_headers_t *headers, const char *name)
{
    size_t    i;
    unsigned  n;

    for (i = 0, n = 0; i < headers->n; i++) {
        n += atls_http_is_name(headers->items[i].name, name);
    }

    return n;
}


int
cmd_headers_has(const cmd_headers_t *headers, const char *name,
    const char *item)
{
    size_t  i;

    for (i = 0; i < headers->n; i++) {
        if (atls_http_is_name(headers->items[i].name, name)
            && cmd_headers_has_item(headers->items[i].value, item))
        {
            return 1;
        }
    }

    return 0;
}


static int
cmd_headers_has_item(const char *list, const char *item)
{
    size_t  n;

    for ( /* void */ ; *list; list += n) {

        list += strspn(list, ", \t");
        n = strcspn(list, ", \t");

        if (n == strlen(item) && strncasecmp(list, item, n) == 0) {
            return 1;
        }
    }

    return 0;
}


void
cmd_headers_strip(cmd_headers_t *headers, const char *const *names)
{
    size_t          i, j;
    atls_header_t  *header;
    char           *drop;

    /* Connection may name any headers, before it or after it */

    drop = cmd_alloc(headers->n + 1);

    for (i = 0; i < headers->n; i++) {
        header = &headers->items[i];

        if (cmd_headers_in_list(cmd_headers_hop, header->name)
            || cmd_headers_in_list(names, header->name))
        {
            drop[i] = 1;
        }

        if (atls_http_is_name(header->name, "Connection")) {
            cmd_headers_named(headers, header->value, drop);
        }
    }

    for (i = 0, j = 0; i < headers->n; i++) {
        if (drop[i]) {
            cmd_headers_free_item(&headers->items[i]);

        } else {
            headers->items[j++] = headers->items[i];
        }
    }

    headers->n = j;
    free(drop);
}


static int
cmd_headers_in_list(const char *const *names, const char *name)
{
    for ( /* void */ ; *names; names++) {
        if (atls_http_is_name(*names, name)) {
            return 1;
        }
    }

    return 0;
}


/* Marks the headers that are named in a list. */

static void
cmd_headers_named(const cmd_headers_t *headers, const char *list, char *named)
{
    size_t  i;

    for (i = 0; i < headers->n; i++) {
        if (cmd_headers_has_item(list, headers->items[i].name)) {
            named[i] = 1;
        }
    }
}


void
cmd_headers_free(cmd_headers_t *headers)
{
    size_t  i;

    for (i = 0; i < headers->n; i++) {
        cmd_headers_free_item(&headers->items[i]);
    }

    free(headers->items);
    memset(headers, 0, sizeof(cmd_headers_t));
}


static void
cmd_headers_free_item(atls_header_t *header)
{
    free((void *) header->name);
}
