
/*
 * Handlers of options for request headers.
 */


#ifndef ATLS_CMD_OPTION_HEADER_H_INCLUDED
#define ATLS_CMD_OPTION_HEADER_H_INCLUDED


#include "option_table.h"


/*
 * "Name: value", "Name;" for an empty value, "Name:" to remove a header, or "@"
 * and the name of a file with such lines.
 */

int cmd_set_header(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* The same for headers of the outer connection; the lines are stored. */

int cmd_set_header_line(cmd_options_t *options, const cmd_option_t *option,
    char *value);


/*
 * NAME=VALUE is added to the cookies; other values are the names of files.
 */

int cmd_set_cookie(cmd_options_t *options, const cmd_option_t *option,
    char *value);


#endif /* ATLS_CMD_OPTION_HEADER_H_INCLUDED */
