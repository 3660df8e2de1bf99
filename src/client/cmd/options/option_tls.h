
/*
 * Handlers of options for the inner TLS.
 */


#ifndef ATLS_CMD_OPTION_TLS_H_INCLUDED
#define ATLS_CMD_OPTION_TLS_H_INCLUDED


#include "option_table.h"


/* The name of a file, and optionally a colon and a passphrase. */

int cmd_set_cert(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* "IDENTITY:KEY", or "@" and the name of a file with it. */

int cmd_set_psk(cmd_options_t *options, const cmd_option_t *option,
    char *value);
int cmd_set_via_psk(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* FILE or FILE:PHRASE; in FILE, "\:" is a colon, and "\\" a backslash. */

int cmd_set_cert(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* --tlsv1.2 and --tlsv1.3: the name is the value; --tls-max. */

int cmd_set_min_protocol(cmd_options_t *options, const cmd_option_t *option,
    char *value);
int cmd_set_max_protocol(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* A list of cipher suites, separated by colons, commas or spaces. */

int cmd_set_ciphers(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* "LABEL:LENGTH" */

int cmd_set_export(cmd_options_t *options, const cmd_option_t *option,
    char *value);


#endif /* ATLS_CMD_OPTION_TLS_H_INCLUDED */
