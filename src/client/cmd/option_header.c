
/*
 * Handlers of options for request headers, see option_header.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../lib/http.h"
#include "exitcode.h"
#include "file.h"
#include "option_header.h"
#include "option_set.h"
#include "util.h"


static int cmd_header_file(cmd_options_t *options, const char *name);
static int cmd_header_line(cmd_options_t *options, const char *line);


int
cmd_set_header(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) option;

    return *value == '@' ? cmd_header_file(options, value + 1)
                         : cmd_header_line(options, value);
}


static int
cmd_header_file(cmd_options_t *options, const char *name)
{
    int      code;
    char    *text, *line, *rest;
    size_t   n;

    code = cmd_file_read(name, &text, &n);
    if (code != CMD_OK) {
        return code;
    }

    for (line = strtok_r(text, "\r\n", &rest);
         line && code == CMD_OK;
         line = strtok_r(NULL, "\r\n", &rest))
    {
        code = cmd_header_line(options, line);
    }

    free(text);

    return code;
}


static int
cmd_header_line(cmd_options_t *options, const char *line)
{
    size_t          n;
    const char     *p, *value;
    atls_header_t  *header;

    n = strcspn(line, ":;");
    value = line + n + (line[n] != '\0');
    value += strspn(value, " \t");

    for (p = line; *p; p++) {
        if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f) {
            break;
        }
    }

    if (!atls_http_is_token(line, n) || line[n] == '\0' || *p
        || (line[n] == ';' && *value))
    {
        return cmd_fail(CMD_USAGE, "invalid header \"%s\"", line);
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

    header->name = cmd_copy(line, n);
    header->value = line[n] == ':' && *value == '\0'
                    ? NULL : cmd_copy(value, strlen(value));

    return CMD_OK;
}


int
cmd_set_user(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    if (strchr(value, ':') == NULL) {
        return cmd_fail(CMD_USAGE, "-u must be NAME:PASSWORD");
    }

    return cmd_set_secret(options, option, value);
}
