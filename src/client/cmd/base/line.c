
/*
 * Lines of files with options, see line.h.
 */


#include <string.h>

#include "line.h"


static char cmd_line_escape(char ch);


char *
cmd_line_next(char **text, unsigned *number)
{
    char  *line;

    while (*text) {
        line = *text;
        *text = strchr(line, '\n');

        if (*text) {
            *(*text)++ = '\0';
        }

        (*number)++;

        line += strspn(line, CMD_LINE_BLANK);

        if (*line && *line != '#') {
            return line;
        }
    }

    return NULL;
}


char *
cmd_line_string(char *text)
{
    char  *p, *to;

    for (p = to = text; *p && *p != '"'; p++) {

        if (*p == '\\' && p[1]) {
            *to++ = cmd_line_escape(*++p);

        } else {
            *to++ = *p;
        }
    }

    p = *p ? p + 1 : NULL;
    *to = '\0';

    return p;
}


static char
cmd_line_escape(char ch)
{
    switch (ch) {

    case 't':
        return '\t';

    case 'n':
        return '\n';

    case 'r':
        return '\r';

    case 'v':
        return '\v';

    default:
        return ch;
    }
}
