
/*
 * --help and --version.
 */


#ifndef ATLS_CMD_HELP_H_INCLUDED
#define ATLS_CMD_HELP_H_INCLUDED


#include <stdio.h>

#include "options.h"


/* Print on stdout; return an exit code. */

int cmd_help(cmd_command_e command);
int cmd_help_version(void);

/* Prints that there is no -k, and why. */

void cmd_help_insecure(FILE *file);

/* The name of a command, with "atls". */

const char *cmd_help_name(cmd_command_e command);


#endif /* ATLS_CMD_HELP_H_INCLUDED */
