
/*
 * The file of --services, see services.h.
 */


#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "../base/exitcode.h"
#include "../base/file.h"
#include "../base/line.h"
#include "../base/util.h"
#include "services.h"


static int cmd_services_line(const char *file, char *line,
    const cmd_list_t *args, cmd_options_t *options);
static int cmd_services_words(char *line, cmd_list_t *words);


void
cmd_services_keep(cmd_list_t *args, int argc, char **argv)
{
    int  i;

    for (i = 0; i < argc; i++) {
        cmd_list_add(args, argv[i]);
    }
}


int
cmd_services_read(const char *file, const cmd_list_t *args,
    cmd_options_t **services, size_t *n)
{
    int             code;
    char           *content, *text, *line;
    size_t          size;
    unsigned        number;
    cmd_options_t  *options;

    code = cmd_file_read_text(file, &content, &size);

    if (code != CMD_OK) {
        return code;
    }

    if (strlen(content) != size) {
        code = cmd_fail(CMD_USAGE, "null character in \"%s\"", file);
    }

    text = content;
    number = 0;

    while (code == CMD_OK && (line = cmd_line_next(&text, &number)) != NULL) {

        *services = cmd_realloc(*services, (*n + 1) * sizeof(cmd_options_t));
        options = *services + *n;
        memset(options, 0, sizeof(cmd_options_t));
        (*n)++;

        code = cmd_services_line(file, line, args, options);

        if (code != CMD_OK) {
            cmd_fail(code, "invalid line %u in \"%s\"", number, file);
        }
    }

    OPENSSL_cleanse(content, size);
    free(content);

    return code == CMD_OK && *n == 0
           ? cmd_fail(CMD_USAGE, "no services in \"%s\"", file) : code;
}


static int
cmd_services_line(const char *file, char *line, const cmd_list_t *args,
    cmd_options_t *options)
{
    int         code;
    size_t      i;
    cmd_list_t  words;

    memset(&words, 0, sizeof(cmd_list_t));

    for (i = 0; i < args->n; i++) {
        cmd_list_add(&words, args->items[i]);
    }

    code = cmd_services_words(line, &words);

    if (code == CMD_OK) {
        cmd_list_add(&words, NULL);
        code = cmd_options_parse(options, CMD_FORWARD, (int) words.n - 1,
                                 words.items);
    }

    if (code == CMD_OK) {
        code = options->done
               ? cmd_fail(CMD_USAGE, "--help and --version are not allowed")
               : strcmp(options->services, file) != 0
               ? cmd_fail(CMD_USAGE, "--services is not allowed")
               : options->urls.n != 1 || options->listen == NULL
               ? cmd_fail(CMD_USAGE, "a service needs --listen and a URL")
               : CMD_OK;
    }

    cmd_services_free(&words);

    return code;
}


/* Words are separated by blanks, or are in double quotes. */

static int
cmd_services_words(char *line, cmd_list_t *words)
{
    char    *word;
    size_t   n;

    do {
        word = line;

        if (*line == '"') {
            line = cmd_line_string(++word);

            if (line == NULL) {
                return cmd_fail(CMD_USAGE, CMD_LINE_UNQUOTED);
            }

        } else {
            n = strcspn(line, CMD_LINE_BLANK);
            line += n + (line[n] != '\0');
            word[n] = '\0';
        }

        cmd_list_add(words, word);
        line += strspn(line, CMD_LINE_BLANK);

    } while (*line && *line != '#');

    return CMD_OK;
}


void
cmd_services_free(cmd_list_t *args)
{
    size_t  i;

    for (i = 0; i < args->n; i++) {
        cmd_wipe(args->items[i]);
        args->items[i] = NULL;
    }

    cmd_list_free(args);
}
