
/*
 * Handlers of options for the request body.  The value is a text, or "@" and a
 * file name, or "@-" for stdin.  Several values are joined by "&".
 */


#ifndef ATLS_CMD_OPTION_DATA_H_INCLUDED
#define ATLS_CMD_OPTION_DATA_H_INCLUDED


#include "option_table.h"


int cmd_set_data(cmd_options_t *options, const cmd_option_t *option,
    char *value);
int cmd_set_data_binary(cmd_options_t *options, const cmd_option_t *option,
    char *value);


#endif /* ATLS_CMD_OPTION_DATA_H_INCLUDED */
