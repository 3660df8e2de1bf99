
/*
 * Parsers for option values, see values.h.
 */


#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../lib/http.h"
#include "exitcode.h"
#include "util.h"
#include "values.h"


#define CMD_MAX_EXPORT      8160            /* RFC 5869: 255 times the size of
                                               SHA-256 */


static int cmd_value_file(const char *name, char **content, size_t *size);
static size_t cmd_value_strip(char *text, size_t n);
static int cmd_value_header_file(cmd_options_t *options, const char *name);
static int cmd_value_header_line(cmd_options_t *options, const char *line);
static void cmd_value_append(char **list, const char *item, size_t n);


int
cmd_value_time(int64_t *milliseconds, const char *value)
{
    char    *end;
    double   seconds;

    seconds = strtod(value, &end);

    if (end == value || *end != '\0'
        || !(seconds >= 0 && seconds <= INT_MAX / 1000))
    {
        return cmd_fail(CMD_USAGE, "invalid number of seconds \"%s\"", value);
    }

    *milliseconds = (int64_t) (seconds * 1000);

    if (*milliseconds == 0 && seconds > 0) {
        *milliseconds = 1;
    }

    return CMD_OK;
}


int
cmd_value_count(unsigned *count, const char *value, unsigned max)
{
    char           *end;
    unsigned long   n;

    n = strtoul(value, &end, 10);

    if (*value < '0' || *value > '9' || *end != '\0' || n < 1 || n > max) {
        return cmd_fail(CMD_USAGE, "\"%s\" must be a number from 1 to %u",
                        value, max);
    }

    *count = (unsigned) n;

    return CMD_OK;
}


int
cmd_value_data(cmd_options_t *options, const char *value, int binary)
{
    int     code;
    char    *bytes;
    size_t   n, used;

    if (*value == '@') {
        code = cmd_value_file(value + 1, &bytes, &n);
        if (code != CMD_OK) {
            return code;
        }

        if (!binary) {
            n = cmd_value_strip(bytes, n);
        }

    } else {
        n = strlen(value);
        bytes = cmd_copy(value, n);
    }

    if (options->data == NULL) {
        options->data = bytes;
        options->data_size = n;
        return CMD_OK;
    }

    used = options->data_size;

    options->data = cmd_realloc(options->data, used + 1 + n);
    options->data[used++] = '&';
    memcpy(options->data + used, bytes, n);
    options->data_size = used + n;

    free(bytes);

    return CMD_OK;
}


static int
cmd_value_file(const char *name, char **content, size_t *size)
{
    int     failed;
    FILE   *file;
    char   *bytes;
    size_t  n, room;

    file = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");

    if (file == NULL) {
        return cmd_fail(CMD_READ, "cannot open \"%s\": %s", name,
                        strerror(errno));
    }

    room = 16384;
    n = 0;
    bytes = cmd_realloc(NULL, room);

    while (!feof(file) && !ferror(file)) {

        if (n == room) {
            room *= 2;
            bytes = cmd_realloc(bytes, room);
        }

        n += fread(bytes + n, 1, room - n, file);
    }

    failed = ferror(file) ? errno : 0;

    if (file != stdin) {
        fclose(file);
    }

    if (failed) {
        free(bytes);
        return cmd_fail(CMD_READ, "cannot read \"%s\": %s", name,
                        strerror(failed));
    }

    *content = bytes;
    *size = n;

    return CMD_OK;
}


/* Removes line ends and null characters. */

static size_t
cmd_value_strip(char *text, size_t n)
{
    size_t  i, j;

    for (i = 0, j = 0; i < n; i++) {
        if (text[i] != '\r' && text[i] != '\n' && text[i] != '\0') {
            text[j++] = text[i];
        }
    }

    return j;
}


int
cmd_value_header(cmd_options_t *options, const char *value)
{
    return *value == '@' ? cmd_value_header_file(options, value + 1)
                         : cmd_value_header_line(options, value);
}


static int
cmd_value_header_file(cmd_options_t *options, const char *name)
{
    int      code;
    char    *bytes, *text, *line, *rest;
    size_t   n;

    code = cmd_value_file(name, &bytes, &n);
    if (code != CMD_OK) {
        return code;
    }

    text = cmd_copy(bytes, n);
    free(bytes);

    for (line = strtok_r(text, "\r\n", &rest);
         line && code == CMD_OK;
         line = strtok_r(NULL, "\r\n", &rest))
    {
        code = cmd_value_header_line(options, line);
    }

    free(text);

    return code;
}


static int
cmd_value_header_line(cmd_options_t *options, const char *line)
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
cmd_value_user(cmd_options_t *options, const char *value)
{
    if (strchr(value, ':') == NULL) {
        return cmd_fail(CMD_USAGE, "-u must be NAME:PASSWORD");
    }

    free(options->user);
    options->user = cmd_copy(value, strlen(value));

    return CMD_OK;
}


/* The key follows the last colon, as in the server's files. */

int
cmd_value_psk(cmd_options_t *options, const char *value)
{
    int          code;
    char        *text;
    size_t       n;
    const char  *colon;

    if (*value == '@') {
        code = cmd_value_file(value + 1, &text, &n);
        if (code != CMD_OK) {
            return code;
        }

        text = cmd_realloc(text, n + 1);
        text[n] = '\0';
        text[strcspn(text, "\r\n")] = '\0';

    } else {
        text = cmd_copy(value, strlen(value));
    }

    colon = strrchr(text, ':');

    if (colon) {
        free(options->psk_identity);
        free(options->psk_key);

        options->psk_identity = cmd_copy(text, (size_t) (colon - text));
        options->psk_key = cmd_copy(colon + 1, strlen(colon + 1));
    }

    free(text);

    return colon ? CMD_OK : cmd_fail(CMD_USAGE, "--psk must be IDENTITY:KEY, "
                                                "with the key in hex");
}


/* Cipher suites of TLS 1.3 have a separate list in OpenSSL. */

int
cmd_value_ciphers(cmd_options_t *options, const char *value)
{
    size_t  n;

    free(options->ciphers);
    free(options->ciphersuites);
    options->ciphers = NULL;
    options->ciphersuites = NULL;

    for ( /* void */ ; *value; value += n + (value[n] != '\0')) {
        n = strcspn(value, ":, ");

        if (n) {
            cmd_value_append(strncmp(value, "TLS_", 4) == 0
                             ? &options->ciphersuites : &options->ciphers,
                             value, n);
        }
    }

    return options->ciphers || options->ciphersuites
           ? CMD_OK : cmd_fail(CMD_USAGE, "the list of ciphers is empty");
}


static void
cmd_value_append(char **list, const char *item, size_t n)
{
    char  *old = *list;

    *list = cmd_format("%s%s%.*s", old ? old : "", old ? ":" : "", (int) n,
                       item);
    free(old);
}


/* The label may contain colons. */

int
cmd_value_export(cmd_options_t *options, const char *value)
{
    long         size;
    char        *end;
    const char  *colon;

    colon = strrchr(value, ':');
    end = NULL;
    size = colon ? strtol(colon + 1, &end, 10) : 0;

    if (colon == NULL || colon == value || *end != '\0' || size < 1
        || size > CMD_MAX_EXPORT)
    {
        return cmd_fail(CMD_USAGE, "--export must be LABEL:LENGTH, with a "
                                   "length from 1 to %d", CMD_MAX_EXPORT);
    }

    free(options->export_label);
    options->export_label = cmd_copy(value, (size_t) (colon - value));
    options->export_size = (size_t) size;

    return CMD_OK;
}
