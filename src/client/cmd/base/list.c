
/*
 * Lists of strings, see list.h.
 */


#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "util.h"


void
cmd_list_add(cmd_list_t *list, const char *item)
{
    list->items = cmd_realloc(list->items, (list->n + 2) * sizeof(char *));
    list->items[list->n++] = item ? cmd_copy(item, strlen(item)) : NULL;
    list->items[list->n] = NULL;
}


void
cmd_list_free(cmd_list_t *list)
{
    size_t  i;

    for (i = 0; i < list->n; i++) {
        free(list->items[i]);
    }

    free(list->items);
    memset(list, 0, sizeof(cmd_list_t));
}
