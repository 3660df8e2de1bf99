
/*
 * Exit codes, see exitcode.h.
 */


#include <stdarg.h>
#include <stdio.h>

#include "../lib/error.h"
#include "exitcode.h"


static int  cmd_silent;


int
cmd_fail(int code, const char *format, ...)
{
    char     text[2048];
    va_list  args;

    if (cmd_silent) {
        return code;
    }

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    atls_printable(text);
    fprintf(stderr, "atls: (%d) %s\n", code, text);

    return code;
}


void
cmd_warn(const char *format, ...)
{
    char     text[2048];
    va_list  args;

    if (cmd_silent) {
        return;
    }

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    atls_printable(text);
    fprintf(stderr, "atls: %s\n", text);
}


void
cmd_fail_silently(int silent)
{
    cmd_silent = silent;
}
