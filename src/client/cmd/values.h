
/*
 * Parsers for option values.  They return an exit code.
 */


#ifndef ATLS_CMD_VALUES_H_INCLUDED
#define ATLS_CMD_VALUES_H_INCLUDED


#include "options.h"


/* Seconds, with decimals. */

int cmd_value_time(int64_t *milliseconds, const char *value);

/* A number from 1 to max. */

int cmd_value_count(unsigned *count, const char *value, unsigned max);

/*
 * A text, or "@" and a file name, or "@-" for stdin.  Several values are joined
 * by "&".
 */

int cmd_value_data(cmd_options_t *options, const char *value, int binary);

/*
 * "Name: value", "Name;" for an empty value, "Name:" to remove a header, or "@"
 * and the name of a file with such lines.
 */

int cmd_value_header(cmd_options_t *options, const char *value);

int cmd_value_user(cmd_options_t *options, const char *value);
int cmd_value_psk(cmd_options_t *options, const char *value);
int cmd_value_ciphers(cmd_options_t *options, const char *value);
int cmd_value_export(cmd_options_t *options, const char *value);


#endif /* ATLS_CMD_VALUES_H_INCLUDED */
