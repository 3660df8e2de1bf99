
/*
 * atls proxy, see proxy.h.
 */


#include <stdio.h>
#include <string.h>

#include "../base/exitcode.h"
#include "../options/options.h"
#include "connect.h"
#include "map.h"
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
    cmd_port_t     port;
    cmd_connect_t  connect;

    memset(&port, 0, sizeof(cmd_port_t));
    memset(&connect, 0, sizeof(cmd_connect_t));

    port.data = &connect;
    connect.options = options;
    connect.log = !options->silent;

    code = cmd_map_check(options);

    if (code == CMD_OK) {
        code = cmd_stop_init();
    }

    setvbuf(stdout, NULL, _IOLBF, 0);

    if (code == CMD_OK) {
        code = cmd_listen_open(&port.listen, options->listen,
                               options->silent);
    }

    if (code == CMD_OK) {
        code = cmd_serve(&port, 1, cmd_connect_serve);
    }

    cmd_listen_close(&port.listen);

    return code;
}
