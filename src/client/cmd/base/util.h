
/* Common functions of the command. */


#ifndef ATLS_CMD_UTIL_H_INCLUDED
#define ATLS_CMD_UTIL_H_INCLUDED


#include <stddef.h>


/* These exit the program if there is not enough memory. */

void *cmd_alloc(size_t size);
void *cmd_realloc(void *p, size_t size);
char *cmd_copy(const char *text, size_t n);
char *cmd_format(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
char *cmd_base64(const void *bytes, size_t n);

/* Frees a secret; NULL is ignored. */

void cmd_wipe(char *text);


#endif /* ATLS_CMD_UTIL_H_INCLUDED */
