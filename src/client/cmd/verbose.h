
/*
 * The lines of -v: those of the inner layer as curl has them, those of the
 * outer one after "outer".
 */


#ifndef ATLS_CMD_VERBOSE_H_INCLUDED
#define ATLS_CMD_VERBOSE_H_INCLUDED


#include <stddef.h>

#include "../lib/atls.h"


/* An atls_debug_pt; data is NULL, or a text for the beginning of each line. */

void cmd_verbose(void *data, atls_debug_e what, const char *line);

void cmd_verbose_print(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Any number of lines; credentials are left out. */

void cmd_verbose_lines(atls_debug_e what, const char *text, size_t n);

/* Logs the outer and inner certificates. */

void cmd_verbose_peers(atls_client_t *client);


#endif /* ATLS_CMD_VERBOSE_H_INCLUDED */
