
/*
 * Handlers of options for the request body, see option_data.h.
 */


#include <stdlib.h>
#include <string.h>

#include "exitcode.h"
#include "file.h"
#include "option_data.h"
#include "util.h"


static int cmd_data_set(cmd_options_t *options, const char *value,
    int binary);
static int cmd_data_read(const char *value, char **bytes, size_t *n);
static size_t cmd_data_strip(char *text, size_t n);
static void cmd_data_add(cmd_options_t *options, const char *bytes, size_t n);


int
cmd_set_data(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) option;

    return cmd_data_set(options, value, 0);
}


int
cmd_set_data_binary(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;

    return cmd_data_set(options, value, 1);
}


static int
cmd_data_set(cmd_options_t *options, const char *value, int binary)
{
    int     code;
    char   *bytes;
    size_t  n;

    code = cmd_data_read(value, &bytes, &n);
    if (code != CMD_OK) {
        return code;
    }

    if (*value == '@' && !binary) {
        n = cmd_data_strip(bytes, n);
    }

    cmd_data_add(options, bytes, n);
    free(bytes);

    return CMD_OK;
}


static int
cmd_data_read(const char *value, char **bytes, size_t *n)
{
    if (*value == '@') {
        return cmd_file_read(value + 1, bytes, n);
    }

    *n = strlen(value);
    *bytes = cmd_copy(value, *n);

    return CMD_OK;
}


/* Removes line ends and null characters. */

static size_t
cmd_data_strip(char *text, size_t n)
{
    size_t  i, j;

    for (i = 0, j = 0; i < n; i++) {
        if (text[i] != '\r' && text[i] != '\n' && text[i] != '\0') {
            text[j++] = text[i];
        }
    }

    return j;
}


static void
cmd_data_add(cmd_options_t *options, const char *bytes, size_t n)
{
    int     joined = options->data != NULL;
    size_t  used = options->data_size;

    options->data = cmd_realloc(options->data, used + 1 + n);

    if (joined) {
        options->data[used++] = '&';
    }

    memcpy(options->data + used, bytes, n);
    options->data_size = used + n;
}
