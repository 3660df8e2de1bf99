
/*
 * Handlers of options for the request body, see option_data.h.
 */


#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "../base/exitcode.h"
#include "../base/file.h"
#include "../base/util.h"
#include "option_data.h"


static int cmd_data_set(cmd_options_t *options, const char *value,
    const char *separator, int binary);
static int cmd_data_read(const char *value, int file, char **bytes,
    size_t *n);
static char *cmd_data_encode(const char *name, size_t n, const char *bytes,
    size_t size);
static void cmd_data_add(cmd_options_t *options, const char *separator,
    const char *bytes, size_t n);


int
cmd_set_data(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) option;

    return cmd_data_set(options, value, "&", 0);
}


int
cmd_set_data_binary(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;

    return cmd_data_set(options, value, "&", 1);
}


int
cmd_set_data_raw(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;

    cmd_data_add(options, "&", value, strlen(value));

    return CMD_OK;
}


int
cmd_set_data_urlencode(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    int     code, file;
    char   *bytes, *encoded;
    size_t  n, name;

    (void) option;

    name = strcspn(value, "=@");
    file = value[name] == '@';

    code = cmd_data_read(value[name] == '=' ? value + name + 1
                         : file ? value + name : value, file, &bytes, &n);
    if (code != CMD_OK) {
        return code;
    }

    encoded = cmd_data_encode(value, value[name] ? name : 0, bytes, n);
    cmd_data_add(options, "&", encoded, strlen(encoded));

    free(encoded);
    free(bytes);

    return CMD_OK;
}


int
cmd_set_json(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) option;

    options->data_json = 1;

    return cmd_data_set(options, value, "", 1);
}


int
cmd_set_write_out(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    int      code;
    char    *text;
    size_t   n;

    (void) option;

    code = cmd_data_read(value, *value == '@', &text, &n);

    if (code == CMD_OK) {
        if (*value == '@') {
            text[cmd_file_strip(text, n)] = '\0';
        }

        free(options->write_out);
        options->write_out = text;
    }

    return code;
}


static int
cmd_data_set(cmd_options_t *options, const char *value, const char *separator,
    int binary)
{
    int     code;
    char   *bytes;
    size_t  n;

    code = cmd_data_read(value, *value == '@', &bytes, &n);
    if (code != CMD_OK) {
        return code;
    }

    if (*value == '@' && !binary) {
        n = cmd_file_strip(bytes, n);
    }

    cmd_data_add(options, separator, bytes, n);
    free(bytes);

    return CMD_OK;
}


/* A file name follows "@". */

static int
cmd_data_read(const char *value, int file, char **bytes, size_t *n)
{
    if (file) {
        return cmd_file_read(value + 1, bytes, n);
    }

    *n = strlen(value);
    *bytes = cmd_copy(value, *n);

    return CMD_OK;
}


/* As in forms, a space is encoded as "+". */

static char *
cmd_data_encode(const char *name, size_t n, const char *bytes, size_t size)
{
    char  *escaped, *text, *p, *to;

    /* libcurl takes the length 0 for a string */

    escaped = curl_easy_escape(NULL, size ? bytes : "", (int) size);
    if (escaped == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    text = cmd_format("%.*s%s%s", (int) n, name, n ? "=" : "", escaped);
    curl_free(escaped);

    for (p = to = text + n; *p; p++) {

        if (strncmp(p, "%20", 3) == 0) {
            *to++ = '+';
            p += 2;

        } else {
            *to++ = *p;
        }
    }

    *to = '\0';

    return text;
}


static void
cmd_data_add(cmd_options_t *options, const char *separator, const char *bytes,
    size_t n)
{
    size_t  used = options->data_size;

    if (options->data == NULL) {
        separator = "";
    }

    options->data = cmd_realloc(options->data, used + strlen(separator) + n
                                               + 1);

    memcpy(options->data + used, separator, strlen(separator));
    used += strlen(separator);

    memcpy(options->data + used, bytes, n);
    used += n;

    options->data[used] = '\0';
    options->data_size = used;
}
