
/*
 * Exit codes, see exitcode.h.
 */


#include <stdarg.h>
#include <stdio.h>

#include "../../lib/error.h"
#include "exitcode.h"


static int            cmd_silent;
static __thread char  cmd_error[2048];

static const int  cmd_codes_certain[] = {
    CMD_SCHEME, CMD_USAGE, CMD_URL, CMD_RESOLVE_PROXY, CMD_RESOLVE,
    CMD_CONNECT, CMD_REPLY, CMD_TLS, CMD_SYNTAX, CMD_IDENTITY, CMD_CIPHERS,
    CMD_CERTIFICATE, CMD_TRUST, CMD_PIN, CMD_PROXY
};


int
cmd_code_is_certain(int code)
{
    size_t  i, n;

    n = sizeof(cmd_codes_certain) / sizeof(cmd_codes_certain[0]);

    for (i = 0; i < n; i++) {
        if (cmd_codes_certain[i] == code) {
            return 1;
        }
    }

    return 0;
}


int
cmd_fail(int code, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    vsnprintf(cmd_error, sizeof(cmd_error), format, args);
    va_end(args);

    atls_printable(cmd_error);
    atls_hide_users(cmd_error);

    if (!cmd_silent) {
        fprintf(stderr, "atls: (%d) %s\n", code, cmd_error);
    }

    return code;
}


const char *
cmd_fail_text(void)
{
    return cmd_error;
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
    atls_hide_users(text);
    fprintf(stderr, "atls: %s\n", text);
}


void
cmd_fail_silently(int silent)
{
    cmd_silent = silent;
}
