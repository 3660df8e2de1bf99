
/*
 * atls proxy, see proxy.h.
 */


#include <stdio.h>
#include <string.h>

#include "connect.h"
#include "exitcode.h"
#include "map.h"
#include "options.h"
#include "proxy.h"
#include "serve.h"
#include "stop.h"


static int cmd_proxy_run(const cmd_options_t *options);


int
cmd_proxy(int argc, char **argv)
{
    int            code;
    cmd_options_t  options;

    code = cmd_options_parse(&options, CMD_LOCAL_PROXY, argc, argv);

    if (code == CMD_OK && !options.done) {
        code = cmd_proxy_run(&options);
    }

    cmd_options_free(&options);

    return code;
}


static int
cmd_proxy_run(const cmd_options_t *options)
{
    int            code;
    cmd_listen_t   listen;
    cmd_connect_t  connect;

    memset(&listen, 0, sizeof(cmd_listen_t));
    memset(&connect, 0, sizeof(cmd_connect_t));

    connect.options = options;
    connect.log = !options->silent;

    code = cmd_map_check(options);

    if (code == CMD_OK) {
        code = cmd_stop_init();
    }

    setvbuf(stdout, NULL, _IOLBF, 0);

    if (code == CMD_OK) {
        code = cmd_listen_open(&listen, options->listen, options->silent);
    }

    if (code == CMD_OK) {
        code = cmd_serve(&listen, cmd_connect_serve, &connect);
    }

    cmd_listen_close(&listen);

    return code;
}
