
/*
 * Handlers of options for forms.
 */


#ifndef ATLS_CMD_OPTION_FORM_H_INCLUDED
#define ATLS_CMD_OPTION_FORM_H_INCLUDED


#include "option_table.h"


/*
 * "NAME=TEXT", "NAME=@FILE[,FILE...]" or "NAME=<FILE", with attributes:
 * ";type=...", ";filename=...", ";headers=...", ";encoder=...".  Texts may be
 * quoted.
 */

int cmd_set_form(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* "NAME=TEXT", without attributes. */

int cmd_set_form_string(cmd_options_t *options, const cmd_option_t *option,
    char *value);


#endif /* ATLS_CMD_OPTION_FORM_H_INCLUDED */
