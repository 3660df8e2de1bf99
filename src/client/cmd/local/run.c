
/*
 * atls run, see run.h.
 */


#include <string.h>

#include "../base/exitcode.h"
#include "../base/util.h"
#include "../options/options.h"
#include "access.h"
#include "child.h"
#include "connect.h"
#include "map.h"
#include "run.h"
#include "serve.h"
#include "stop.h"


#define CMD_RUN_LISTEN      "127.0.0.1:0"


static int cmd_run_program(const cmd_options_t *options, int *code);
static int cmd_run_start(const cmd_options_t *options,
    const cmd_access_t *access, const cmd_listen_t *listen);


int
cmd_run(int argc, char **argv)
{
    int            code, started;
    cmd_options_t  options;

    started = 0;
    code = cmd_options_parse(&options, CMD_RUN, argc, argv);

    if (code != CMD_OK) {
        code = CMD_RUN_FAILED;

    } else if (!options.done) {
        started = cmd_run_program(&options, &code);
    }

    cmd_options_free(&options);

    return started ? cmd_child_end() : code;
}


/* Returns whether the program was started; otherwise, sets the exit code. */

static int
cmd_run_program(const cmd_options_t *options, int *code)
{
    cmd_access_t   access;
    cmd_port_t     port;
    cmd_connect_t  connect;

    memset(&port, 0, sizeof(cmd_port_t));
    memset(&connect, 0, sizeof(cmd_connect_t));

    connect.options = options;
    connect.access = &access;
    port.data = &connect;

    *code = CMD_RUN_FAILED;

    if (cmd_access_create(&access) == CMD_OK
        && cmd_map_check(options) == CMD_OK
        && cmd_stop_create() == CMD_OK
        && cmd_listen_open(&port.listen, CMD_RUN_LISTEN, 1) == CMD_OK)
    {
        *code = cmd_run_start(options, &access, &port.listen);
    }

    if (*code == CMD_OK) {
        (void) cmd_serve(&port, 1, cmd_connect_serve);
        cmd_child_wait();
    }

    cmd_listen_close(&port.listen);
    cmd_access_free(&access);

    return *code == CMD_OK;
}


static int
cmd_run_start(const cmd_options_t *options, const cmd_access_t *access,
    const cmd_listen_t *listen)
{
    int    code;
    char  *url;

    url = cmd_access_url(access, cmd_listen_port(listen));
    code = cmd_child_start(options->program, url);
    cmd_wipe(url);

    return code;
}
