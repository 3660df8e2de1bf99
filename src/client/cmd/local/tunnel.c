
/*
 * atls tunnel, see tunnel.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/exitcode.h"
#include "../options/options.h"
#include "pipe.h"
#include "serve.h"
#include "service.h"
#include "stop.h"
#include "tunnel.h"
#include "udp.h"


typedef struct {
    cmd_options_t    options;
    atls_target_t    service;
    const char      *endpoint;
    cmd_port_t       port;
} cmd_tunnel_t;


static int cmd_tunnel_run(cmd_tunnel_t *tunnel);
static void cmd_tunnel_serve(void *data, cmd_stream_t *stream);


int
cmd_tunnel(int argc, char **argv)
{
    int           code;
    cmd_tunnel_t  tunnel;

    memset(&tunnel, 0, sizeof(cmd_tunnel_t));

    code = cmd_options_parse(&tunnel.options, CMD_TUNNEL, argc, argv);

    if (code == CMD_OK && !tunnel.options.done) {
        code = cmd_tunnel_run(&tunnel);
    }

    cmd_listen_close(&tunnel.port.listen);
    atls_target_free(&tunnel.service);
    cmd_options_free(&tunnel.options);

    return code;
}


static int
cmd_tunnel_run(cmd_tunnel_t *tunnel)
{
    int             code;
    cmd_options_t  *options = &tunnel->options;

    code = cmd_service_parse(&tunnel->service, options->urls.items[0]);

    if (code == CMD_OK) {
        tunnel->endpoint = options->via ? options->via
                                        : tunnel->service.endpoint;
        code = cmd_pipe_check(options, tunnel->endpoint);
    }

    if (code == CMD_OK) {
        code = cmd_stop_init();
    }

    setvbuf(stdout, NULL, _IOLBF, 0);

    if (code == CMD_OK && options->udp) {
        code = cmd_listen_udp(&tunnel->port.listen, options->listen,
                              options->silent);

        return code == CMD_OK
               ? cmd_udp_serve(&tunnel->port.listen, options, tunnel->endpoint)
               : code;
    }

    if (code == CMD_OK) {
        tunnel->port.data = tunnel;
        code = cmd_listen_open(&tunnel->port.listen, options->listen,
                               options->silent);
    }

    return code == CMD_OK
           ? cmd_serve(&tunnel->port, 1, cmd_tunnel_serve) : code;
}


static void
cmd_tunnel_serve(void *data, cmd_stream_t *stream)
{
    cmd_tunnel_t  *tunnel = data;

    char        *summary;
    cmd_pipe_t   pipe;

    if (cmd_pipe_open(&pipe, &tunnel->options, tunnel->endpoint, stream) == 0) {
        cmd_pipe_run(&pipe);

    } else {
        cmd_stream_reset(stream);
    }

    if (!tunnel->options.silent) {
        summary = cmd_pipe_summary(&pipe);
        printf("%s %s\n", stream->peer, summary);
        free(summary);
    }

    cmd_pipe_close(&pipe);
}
