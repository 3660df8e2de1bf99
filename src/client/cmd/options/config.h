
/* The file of -K: an option on each line, as in curl. */


#ifndef ATLS_CMD_CONFIG_H_INCLUDED
#define ATLS_CMD_CONFIG_H_INCLUDED


/*
 * Receives the name of an option, with or without dashes, and its value or
 * NULL; both may be changed.  Returns an exit code.
 */

typedef int (*cmd_config_pt)(void *data, char *name, char *value);

/* Reads a file, or stdin if the name is "-".  Returns an exit code. */

int cmd_config_read(const char *file, cmd_config_pt set, void *data);


#endif /* ATLS_CMD_CONFIG_H_INCLUDED */
