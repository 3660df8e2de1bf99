
/*
 * The output of -w, see writeout.h.
 */


#include <stdio.h>
#include <string.h>

#include "../lib/clock.h"
#include "writeout.h"


static int cmd_writeout_escape(const char *format);
static size_t cmd_writeout_variable(const cmd_transfer_t *transfer,
    const char *format);


void
cmd_writeout(const cmd_transfer_t *transfer)
{
    int          ch;
    size_t       n;
    const char  *p;

    for (p = transfer->options->write_out; *p; p += n) {

        ch = cmd_writeout_escape(p);
        n = ch ? 2 : cmd_writeout_variable(transfer, p);

        if (n == 0) {
            ch = *p;
            n = 1;
        }

        if (ch) {
            putchar(ch);
        }
    }

    fflush(stdout);
}


/* Returns the character of an escape sequence, or 0 if it is not one. */

static int
cmd_writeout_escape(const char *format)
{
    size_t  i;

    static const char *const  escapes[] = { "\\n\n", "\\r\r", "\\t\t",
                                            "\\\\\\", "%%%" };

    for (i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
        if (strncmp(format, escapes[i], 2) == 0) {
            return escapes[i][2];
        }
    }

    return 0;
}


/*
 * Prints a variable.  Returns its length in the format, or 0 if it is unknown.
 */

static size_t
cmd_writeout_variable(const cmd_transfer_t *transfer, const char *format)
{
    size_t       n;
    const char  *name;

    n = strcspn(format, "}") + 1;

    if (strncmp(format, "%{", 2) != 0 || format[n - 1] != '}') {
        return 0;
    }

    name = format + 2;

    if (strncmp(name, "http_code}", n - 2) == 0) {
        printf("%03d", transfer->status);

    } else if (strncmp(name, "size_download}", n - 2) == 0) {
        printf("%lld", (long long) transfer->received);

    } else if (strncmp(name, "time_total}", n - 2) == 0) {
        printf("%.3f", (double) (atls_clock() - transfer->began) / 1000);

    } else if (strncmp(name, "atls}", n - 2) == 0) {
        fputs(transfer->client ? "on" : "off", stdout);

    } else {
        return 0;
    }

    return n;
}
