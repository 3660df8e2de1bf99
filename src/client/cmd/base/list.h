
/* Lists of strings, terminated by NULL. */


#ifndef ATLS_CMD_LIST_H_INCLUDED
#define ATLS_CMD_LIST_H_INCLUDED


#include <stddef.h>


typedef struct {
    char           **items;             /* NULL: empty */
    size_t           n;
} cmd_list_t;


/* Adds a copy; the item may be NULL. */

void cmd_list_add(cmd_list_t *list, const char *item);

void cmd_list_free(cmd_list_t *list);


#endif /* ATLS_CMD_LIST_H_INCLUDED */
