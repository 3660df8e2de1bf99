
/*
 * Messages of -v.  Lines for the inner layer are as in curl; those for the
 * outer one begin with "outer".
 */


#ifndef ATLS_CMD_VERBOSE_H_INCLUDED
#define ATLS_CMD_VERBOSE_H_INCLUDED


#include "../../lib/atls.h"


/* An atls_debug_pt; data is NULL or a prefix for each line. */

void cmd_verbose(void *data, atls_debug_e what, const char *line);

void cmd_verbose_print(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Logs the outer and inner certificates. */

void cmd_verbose_peers(atls_client_t *client);


#endif /* ATLS_CMD_VERBOSE_H_INCLUDED */
