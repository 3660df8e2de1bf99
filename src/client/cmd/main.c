
/*
 * atls: a client of Application-Layer TLS on the command line.
 */


#include <string.h>

#include <curl/curl.h>

#include "base/exitcode.h"
#include "base/file.h"
#include "doctor/doctor.h"
#include "gateway.h"
#include "local/child.h"
#include "local/forward.h"
#include "local/proxy.h"
#include "local/run.h"
#include "local/tunnel.h"
#include "request/fetch.h"
#include "request/prepare.h"


typedef struct {
    const char  *name;
    int        (*run)(int argc, char **argv);
} cmd_command_t;


static int cmd_dispatch(int argc, char **argv);


static const cmd_command_t  cmd_commands[] = {
    { "fetch", cmd_fetch },                 /* the default */
    { "forward", cmd_forward },
    { "tunnel", cmd_tunnel },
    { "proxy", cmd_proxy },
    { "run", cmd_run },
    { "doctor", cmd_doctor },
    { "gateway", cmd_gateway },
    { "prepare", cmd_prepare },
};


int
main(int argc, char **argv)
{
    int  code;

    cmd_child_init();

    if (cmd_file_reserve_stdio() == -1) {
        return cmd_fail(CMD_MEMORY, "cannot open /dev/null");
    }

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return cmd_fail(CMD_MEMORY, "cannot initialize libcurl");
    }

    code = cmd_dispatch(argc, argv);

    curl_global_cleanup();

    return code;
}


static int
cmd_dispatch(int argc, char **argv)
{
    size_t  i;

    for (i = 0;
         argc > 1 && i < sizeof(cmd_commands) / sizeof(cmd_commands[0]);
         i++)
    {
        if (strcmp(argv[1], cmd_commands[i].name) == 0) {
            return cmd_commands[i].run(argc - 1, argv + 1);
        }
    }

    return cmd_fetch(argc, argv);
}
