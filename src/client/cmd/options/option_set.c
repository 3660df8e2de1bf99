
/*
 * Handlers of options, see option_set.h.
 */


#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"
#include "../base/exitcode.h"
#include "../base/host.h"
#include "../base/util.h"
#include "option_set.h"


#define CMD_SESSIONS_LIMIT  1024


static void *cmd_set_field(cmd_options_t *options, const cmd_option_t *option);
static int cmd_set_number(unsigned *field, const char *value, unsigned min,
    unsigned max);


static void *
cmd_set_field(cmd_options_t *options, const cmd_option_t *option)
{
    return (char *) options + option->offset;
}


int
cmd_set_flag(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    int  *field = cmd_set_field(options, option);

    (void) value;

    *field = 1;

    return CMD_OK;
}


int
cmd_set_text(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    char  **field = cmd_set_field(options, option);

    free(*field);
    *field = cmd_copy(value, strlen(value));

    return CMD_OK;
}


int
cmd_set_secret(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    char  **field = cmd_set_field(options, option);

    cmd_wipe(*field);
    *field = cmd_copy(value, strlen(value));

    cmd_set_hide(value);

    return CMD_OK;
}


int
cmd_set_url(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    int  code;

    code = cmd_set_text(options, option, value);
    atls_hide_users(value);

    return code;
}


int
cmd_set_url_item(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    int  code;

    code = cmd_set_item(options, option, value);
    atls_hide_users(value);

    return code;
}


int
cmd_set_time(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    int64_t  *field = cmd_set_field(options, option);

    char    *end;
    double   seconds;

    seconds = strtod(value, &end);

    if (end == value || *end != '\0'
        || !(seconds >= 0 && seconds <= INT_MAX / 1000))
    {
        return cmd_fail(CMD_USAGE, "invalid number of seconds \"%s\"", value);
    }

    *field = (int64_t) (seconds * 1000);

    if (*field == 0 && seconds > 0) {
        *field = 1;
    }

    return CMD_OK;
}


int
cmd_set_item(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    cmd_list_t  *field = cmd_set_field(options, option);

    cmd_list_add(field, value);

    return CMD_OK;
}


int
cmd_set_size(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    int64_t  *field = cmd_set_field(options, option);

    char                *end;
    size_t               shift;
    unsigned long long   n;

    static const char  units[] = "bBkKmMgGtTpP";

    errno = 0;
    n = strtoull(value, &end, 10);
    shift = 0;

    if (end != value && *end && strchr(units, *end)) {
        shift = (size_t) (strchr(units, *end) - units) / 2 * 10;
        end++;
    }

    if (*value < '0' || *value > '9' || *end != '\0' || errno
        || n > (unsigned long long) INT64_MAX >> shift)
    {
        return cmd_fail(CMD_USAGE, "invalid number of bytes \"%s\"", value);
    }

    *field = (int64_t) (n << shift);

    return CMD_OK;
}


int
cmd_set_count(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    return cmd_set_number(cmd_set_field(options, option), value, 0, INT_MAX);
}


int
cmd_set_range(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    char  **field = cmd_set_field(options, option);

    if (*value == '\0' || value[strspn(value, "0123456789-,")] != '\0') {
        return cmd_fail(CMD_USAGE, "invalid range \"%s\"", value);
    }

    /* as in curl, a number is the start */

    free(*field);
    *field = cmd_format("%s%s", value, strchr(value, '-') ? "" : "-");

    return CMD_OK;
}


int
cmd_set_resume(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    char       *end;
    long long   n;

    (void) option;

    options->resume = 0;
    options->resume_auto = strcmp(value, "-") == 0;

    if (options->resume_auto) {
        return CMD_OK;
    }

    errno = 0;
    n = strtoll(value, &end, 10);

    if (*value < '0' || *value > '9' || *end != '\0' || errno) {
        return cmd_fail(CMD_USAGE, "invalid offset \"%s\"", value);
    }

    options->resume = n;

    return CMD_OK;
}


int
cmd_set_user(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    if (strchr(value, ':') == NULL) {
        return cmd_fail(CMD_USAGE, "--%s must be NAME:PASSWORD", option->name);
    }

    return cmd_set_secret(options, option, value);
}


int
cmd_set_ip_version(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) value;

    options->ip_version = option->ch - '0';

    return CMD_OK;
}


int
cmd_set_proxy_auth(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) value;

    options->proxy_auth = option->name + sizeof("proxy-") - 1;

    return CMD_OK;
}


int
cmd_set_sessions(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;

    return cmd_set_number(&options->sessions, value, 1, CMD_SESSIONS_LIMIT);
}


static int
cmd_set_number(unsigned *field, const char *value, unsigned min, unsigned max)
{
    char           *end;
    unsigned long   n;

    n = strtoul(value, &end, 10);

    if (*value < '0' || *value > '9' || *end != '\0' || n < min || n > max) {
        return cmd_fail(CMD_USAGE, "\"%s\" must be a number from %u to %u",
                        value, min, max);
    }

    *field = (unsigned) n;

    return CMD_OK;
}


int
cmd_set_host(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    cmd_host_t  host;

    if (cmd_host_parse(&host, value, strlen(value)) == -1) {
        return cmd_fail(CMD_USAGE, "invalid \"%s\", must be HOST or HOST:PORT",
                        value);
    }

    return cmd_set_item(options, option, value);
}


int
cmd_set_format(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    return cmd_set_number(cmd_set_field(options, option), value, 0, 65535);
}


void
cmd_set_free(cmd_options_t *options, const cmd_option_t *option)
{
    char  **text;

    if (option->set == cmd_set_text || option->set == cmd_set_url
        || option->set == cmd_set_range)
    {
        text = cmd_set_field(options, option);
        free(*text);
        *text = NULL;

    } else if (option->set == cmd_set_secret || option->set == cmd_set_user) {
        text = cmd_set_field(options, option);
        cmd_wipe(*text);
        *text = NULL;

    } else if (option->set == cmd_set_item || option->set == cmd_set_url_item
               || option->set == cmd_set_host)
    {
        cmd_list_free(cmd_set_field(options, option));
    }
}


void
cmd_set_hide(char *value)
{
    memset(value, '*', strlen(value));
}
