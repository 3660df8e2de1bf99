
/*
 * atls gateway, see gateway.h.
 */


#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/util.h"
#include "gateway.h"
#include "options/options.h"


#define CMD_GATEWAY_PROGRAM  "atls-gateway"


static void cmd_gateway_exec(char **argv);


int
cmd_gateway(int argc, char **argv)
{
    int            code, failed;
    cmd_options_t  options;

    cmd_gateway_exec(argv);

    failed = errno;

    /* help is available without the program */

    code = cmd_options_parse(&options, CMD_GATEWAY, argc, argv);

    if (code == CMD_OK && !options.done) {
        code = failed == ENOENT
               ? cmd_fail(CMD_RUN_MISSING, CMD_GATEWAY_PROGRAM " is not "
                                           "installed")
               : cmd_fail(CMD_RUN_REFUSED, "cannot run " CMD_GATEWAY_PROGRAM
                                           ": %s", strerror(failed));
    }

    cmd_options_free(&options);

    return code;
}


/* It is in the directory of this program. */

static void
cmd_gateway_exec(char **argv)
{
    char     self[PATH_MAX], *slash, *program;
    ssize_t  n;

    n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n == -1) {
        return;
    }

    self[n] = '\0';
    slash = strrchr(self, '/');
    *slash = '\0';

    program = cmd_format("%s/%s", self, CMD_GATEWAY_PROGRAM);
    execv(program, argv);
    free(program);
}
