
/*
 * Lines for the debug callback, see debug.h.
 */


#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "debug.h"
#include "error.h"


#define ATLS_DEBUG_LINE     1024


static void atls_debug_redact(atls_debug_e what, char *line);
static void atls_debug_hide(char *line, const char *hidden);


static const char *const atls_debug_secrets[] = {
    "authorization",
    "proxy-authorization",
    "set-cookie",
    "cookie",
};


void
atls_debug(const atls_debug_t *debug, atls_debug_e what, const char *format,
    ...)
{
    char     line[ATLS_DEBUG_LINE];
    va_list  args;

    if (debug->handler == NULL) {
        return;
    }

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);

    atls_printable(line);
    debug->handler(debug->data, what, line);
}


void
atls_debug_lines(const atls_debug_t *debug, atls_debug_e what,
    const void *text, size_t n)
{
    char         line[ATLS_DEBUG_LINE];
    size_t       len;
    const char  *p, *end, *eol;

    if (debug->handler == NULL) {
        return;
    }

    p = text;
    end = p + n;

    for ( /* void */ ; p < end; p = eol + 1) {

        eol = memchr(p, '\n', (size_t) (end - p));
        if (eol == NULL) {
            eol = end;
        }

        len = (size_t) (eol - p);

        if (len && p[len - 1] == '\r') {
            len--;
        }

        if (len == 0) {
            continue;
        }

        if (len > sizeof(line) - 1) {
            len = sizeof(line) - 1;
        }

        memcpy(line, p, len);
        line[len] = '\0';

        atls_debug_redact(what, line);
        atls_debug_hide(line, debug->hidden);
        atls_hide_users(line);
        atls_printable(line);
        debug->handler(debug->data, what, line);
    }
}


/* libcurl's messages may have cookies and HTTP/2 headers anywhere in a line. */

static void
atls_debug_redact(atls_debug_e what, char *line)
{
    char    *p;
    size_t   i, n;

    for (i = 0;
         i < sizeof(atls_debug_secrets) / sizeof(atls_debug_secrets[0]);
         i++)
    {
        n = strlen(atls_debug_secrets[i]);

        p = what == ATLS_DEBUG_OUTER || what == ATLS_DEBUG_INNER
            ? strcasestr(line, atls_debug_secrets[i])
            : strncasecmp(line, atls_debug_secrets[i], n) == 0
              && line[n] == ':' ? line : NULL;

        if (p) {
            p += n;
            snprintf(p, ATLS_DEBUG_LINE - (size_t) (p - line),
                     ": [not shown]");
            return;
        }
    }
}


static void
atls_debug_hide(char *line, const char *hidden)
{
    char  *p;

    if (hidden == NULL || *hidden == '\0') {
        return;
    }

    for (p = strstr(line, hidden); p; p = strstr(p, hidden)) {
        memset(p, '*', strlen(hidden));
    }
}
