
/*
 * The file of -K, see config.h.
 */


#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "../base/exitcode.h"
#include "../base/file.h"
#include "../base/line.h"
#include "config.h"


typedef struct {
    const char      *file;
    unsigned         number;            /* of the line */
    cmd_config_pt    set;
    void            *data;
} cmd_config_t;


static int cmd_config_line(const cmd_config_t *config, char *line);
static int cmd_config_word(char *value);


int
cmd_config_read(const char *file, cmd_config_pt set, void *data)
{
    int            code;
    char          *content, *text, *line;
    size_t         size;
    cmd_config_t   config;

    code = cmd_file_read(file, &content, &size);

    if (code != CMD_OK) {
        return code;
    }

    config.file = file;
    config.number = 0;
    config.set = set;
    config.data = data;

    if (strlen(content) != size) {
        code = cmd_fail(CMD_USAGE, "null character in \"%s\"", file);
    }

    text = content;

    while (code == CMD_OK
           && (line = cmd_line_next(&text, &config.number)) != NULL)
    {
        code = cmd_config_line(&config, line);

        if (code != CMD_OK) {
            cmd_fail(code, "invalid line %u in \"%s\"", config.number, file);
        }
    }

    OPENSSL_cleanse(content, size);
    free(content);

    return code;
}


/* After a name with a dash, ":" and "=" are a part of the value. */

static int
cmd_config_line(const cmd_config_t *config, char *line)
{
    int          quoted;
    char        *name, *value;
    const char  *separators;

    separators = *line == '-' ? CMD_LINE_BLANK : CMD_LINE_BLANK "=:";

    name = line;
    line += strcspn(line, separators);

    if (*line) {
        *line++ = '\0';
    }

    value = line + strspn(line, separators);

    quoted = *value == '"';

    if (quoted) {
        if (cmd_line_string(++value) == NULL) {
            return cmd_fail(CMD_USAGE, CMD_LINE_UNQUOTED);
        }

    } else if (cmd_config_word(value)) {
        cmd_warn("%s:%u: the value of \"%s\" ends at a blank, use quotation "
                 "marks", config->file, config->number, name);
    }

    return config->set(config->data, name,
                       *value || quoted ? value : NULL);
}


/* Ends a value at the first blank.  Returns whether a word follows. */

static int
cmd_config_word(char *value)
{
    int     more;
    size_t  n, blanks;

    n = strcspn(value, CMD_LINE_BLANK);
    blanks = strspn(value + n, CMD_LINE_BLANK);

    more = value[n + blanks] != '\0' && value[n + blanks] != '#';
    value[n] = '\0';

    return more;
}
