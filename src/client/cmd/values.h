
/*
 * Values of options that are more than a text.  The functions return an exit
 * code.
 */


#ifndef ATLS_CMD_VALUES_H_INCLUDED
#define ATLS_CMD_VALUES_H_INCLUDED


#include "options.h"


/* Seconds, with decimals. */

int cmd_value_time(int64_t *milliseconds, const char *value);

/* From 1 to max. */

int cmd_value_count(unsigned *count, const char *value, unsigned max);

/* A text, or "@" and a file, "-" for stdin; several are joined by "&". */

int cmd_value_data(cmd_options_t *options, const char *value, int binary);

/* "Name: value", "Name;" for an empty one, "Name:" for none, or "@" and a file
 * of them. */

int cmd_value_header(cmd_options_t *options, const char *value);

int cmd_value_user(cmd_options_t *options, const char *value);
int cmd_value_psk(cmd_options_t *options, const char *value);
int cmd_value_ciphers(cmd_options_t *options, const char *value);
int cmd_value_export(cmd_options_t *options, const char *value);


#endif /* ATLS_CMD_VALUES_H_INCLUDED */
