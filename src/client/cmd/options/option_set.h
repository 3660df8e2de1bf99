
/*
 * Handlers of options that store a flag, a text, a time, or a list, in the
 * field of the option.
 */


#ifndef ATLS_CMD_OPTION_SET_H_INCLUDED
#define ATLS_CMD_OPTION_SET_H_INCLUDED


#include "option_table.h"


int cmd_set_flag(cmd_options_t *options, const cmd_option_t *option,
    char *value);

int cmd_set_text(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* A text that is hidden from the process list. */

int cmd_set_secret(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* A URL, or a list of items with URLs, whose passwords are hidden as well. */

int cmd_set_url(cmd_options_t *options, const cmd_option_t *option,
    char *value);
int cmd_set_url_item(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* Seconds, with decimals. */

int cmd_set_time(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* Adds an item to a list; NULL if the option has no value. */

int cmd_set_item(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* A number of bytes; the units k, M, G, T and P are powers of 1024. */

int cmd_set_size(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* A number, from 0. */

int cmd_set_count(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* -r: "N-M", "N-", "-N", or several, separated by commas; -C: "N" or "-". */

int cmd_set_range(cmd_options_t *options, const cmd_option_t *option,
    char *value);
int cmd_set_resume(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* "NAME:PASSWORD", hidden from the process list. */

int cmd_set_user(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* -4 and -6; --proxy-basic and the like: the name is the value. */

int cmd_set_ip_version(cmd_options_t *options, const cmd_option_t *option,
    char *value);
int cmd_set_proxy_auth(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* For atls forward: the number of sessions, and names in Host. */

int cmd_set_sessions(cmd_options_t *options, const cmd_option_t *option,
    char *value);
int cmd_set_host(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* A Content-Format of CoAP. */

int cmd_set_format(cmd_options_t *options, const cmd_option_t *option,
    char *value);

/* Frees what was stored by one of these. */

void cmd_set_free(cmd_options_t *options, const cmd_option_t *option);

/* Hides a value from the process list. */

void cmd_set_hide(char *value);


#endif /* ATLS_CMD_OPTION_SET_H_INCLUDED */
