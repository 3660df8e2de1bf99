
/*
 * Headers of forwarded messages, see headers.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "headers.h"
#include "util.h"


static int cmd_headers_has_item(const char *list, const char *item);
static int cmd_headers_in_list(const char *const *names, const char *name);
static void cmd_headers_free_item(atls_header_t *header);


static const char *const  cmd_headers_hop[] = {
    "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate",
    "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
    "HTTP2-Settings", NULL
};


void
cmd_headers_add(cmd_headers_t *headers, const char *name, const char *value)
{
    atls_header_t  *header;

    headers->items = cmd_realloc(headers->items,
                                 (headers->n + 1) * sizeof(atls_header_t));
    header = &headers->items[headers->n++];

    header->name = cmd_copy(name, strlen(name));
    header->value = cmd_copy(value, strlen(value));
}


const char *
cmd_headers_get(const cmd_headers_t *headers, const char *name)
{
    size_t  i;

    for (i = 0; i < headers->n; i++) {
        if (strcasecmp(headers->items[i].name, name) == 0) {
            return headers->items[i].value;
        }
    }

    return NULL;
}


int
cmd_headers_has(const cmd_headers_t *headers, const char *name,
    const char *item)
{
    size_t  i;

    for (i = 0; i < headers->n; i++) {
        if (strcasecmp(headers->items[i].name, name) == 0
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
    size_t       i, j;
    const char  *name;
    char        *drop;

    /* headers are removed after the loop: it needs Connection */

    drop = cmd_alloc(headers->n + 1);

    for (i = 0; i < headers->n; i++) {
        name = headers->items[i].name;

        drop[i] = cmd_headers_in_list(cmd_headers_hop, name)
                  || cmd_headers_in_list(names, name)
                  || cmd_headers_has(headers, "Connection", name);
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
        if (strcasecmp(*names, name) == 0) {
            return 1;
        }
    }

    return 0;
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
    free((void *) header->value);
}
