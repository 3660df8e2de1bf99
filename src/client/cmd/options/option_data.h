
/*
 * Handlers of options for the request body, and for -w.  The values of several
 * options for the body are joined by "&".
 */


#ifndef ATLS_CMD_OPTION_DATA_H_INCLUDED
#define ATLS_CMD_OPTION_DATA_H_INCLUDED


#include "option_table.h"


/*
 * A text, or "@" and a file name, or "@-" for stdin.  Without "binary", line
 * ends and null characters of files are removed.
 */

int cmd_set_data(cmd_options_t *options, const cmd_option_t *option,
    char *value);
int cmd_set_data_binary(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* A text. */

int cmd_set_data_raw(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* TEXT, =TEXT, NAME=TEXT, @FILE or NAME@FILE; the text is encoded. */

int cmd_set_data_urlencode(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* As "binary"; several values are joined by nothing. */

int cmd_set_json(cmd_options_t *options, const cmd_option_t *option,
    char *value);


/* The format of -w: a text, or "@" and a file, whose line ends are removed. */

int cmd_set_write_out(cmd_options_t *options, const cmd_option_t *option,
    char *value);


#endif /* ATLS_CMD_OPTION_DATA_H_INCLUDED */
