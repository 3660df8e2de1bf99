
/*
 * Handlers of options for request headers, see option_header.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/http.h"
#include "../base/exitcode.h"
#include "../base/file.h"
#include "../base/util.h"
#include "option_header.h"
#include "option_set.h"


/* Stores a line of a value. */

typedef int (*cmd_header_add_pt)(cmd_options_t *options,
    const cmd_option_t *option, const char *line);


static int cmd_header_lines(cmd_options_t *options, const cmd_option_t *option,
    const char *value, cmd_header_add_pt add);
static int cmd_header_add(cmd_options_t *options, const cmd_option_t *option,
    const char *line);
static int cmd_header_add_line(cmd_options_t *options,
    const cmd_option_t *option, const char *line);
static int cmd_header_check(const char *line, size_t n);


int
cmd_set_header(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    return cmd_header_lines(options, option, value, cmd_header_add);
}


int
cmd_set_header_line(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    return cmd_header_lines(options, option, value, cmd_header_add_line);
}


static int
cmd_header_lines(cmd_options_t *options, const cmd_option_t *option,
    const char *value, cmd_header_add_pt add)
{
    int      code;
    char    *text, *line, *rest;
    size_t   n;

    if (*value != '@') {
        return add(options, option, value);
    }

    code = cmd_file_read_text(value + 1, &text, &n);
    if (code != CMD_OK) {
        return code;
    }

    for (line = strtok_r(text, "\r\n", &rest);
         line && code == CMD_OK;
         line = strtok_r(NULL, "\r\n", &rest))
    {
        code = add(options, option, line);
    }

    free(text);

    return code;
}


static int
cmd_header_add(cmd_options_t *options, const cmd_option_t *option,
    const char *line)
{
    int             code;
    size_t          n;
    const char     *value;
    atls_header_t  *header;

    (void) option;

    n = strcspn(line, ":;");

    code = cmd_header_check(line, n);
    if (code != CMD_OK) {
        return code;
    }

    if ((n == 14 && strncasecmp(line, "Content-Length", n) == 0)
        || (n == 17 && strncasecmp(line, "Transfer-Encoding", n) == 0))
    {
        return cmd_fail(CMD_USAGE, "header \"%.*s\" cannot be set",
                        (int) n, line);
    }

    options->headers = cmd_realloc(options->headers,
                                   (options->nheaders + 1)
                                   * sizeof(atls_header_t));
    header = &options->headers[options->nheaders++];

    value = line + n + 1;
    value += strspn(value, " \t");

    header->name = cmd_copy(line, n);
    header->value = line[n] == ':' && *value == '\0'
                    ? NULL : cmd_copy(value, strlen(value));

    return CMD_OK;
}


static int
cmd_header_add_line(cmd_options_t *options, const cmd_option_t *option,
    const char *line)
{
    int      code;
    size_t   n;
    char    *copy;

    n = strcspn(line, ":");

    code = cmd_header_check(line, n);

    if (code == CMD_OK) {
        copy = cmd_copy(line, strlen(line));
        code = cmd_set_item(options, option, copy);
        free(copy);
    }

    return code;
}


int
cmd_set_cookie(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    char  *old = options->cookie;

    (void) option;

    if (*value == '@' || strchr(value, '=') == NULL) {
        cmd_list_add(&options->cookie_files, value + (*value == '@'));
        return CMD_OK;
    }

    options->cookie = cmd_format("%s%s%s", old ? old : "", old ? ";" : "",
                                 value);
    cmd_wipe(old);

    return CMD_OK;
}


/* The name, of n characters, is followed by a value or by a semicolon. */

static int
cmd_header_check(const char *line, size_t n)
{
    const char  *p;

    for (p = line; *p; p++) {
        if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f) {
            break;
        }
    }

    if (!atls_http_is_token(line, n) || line[n] == '\0' || *p
        || (line[n] == ';' && line[n + 1 + strspn(line + n + 1, " \t")]))
    {
        return cmd_fail(CMD_USAGE, "invalid header \"%s\"", line);
    }

    return CMD_OK;
}
