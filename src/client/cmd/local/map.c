
/*
 * Endpoints of services, see map.h.
 */


#include <string.h>

#include "../base/exitcode.h"
#include "map.h"
#include "pipe.h"


#define CMD_MAP_PORT        443


static const char *cmd_map_parse(cmd_host_t *host, const char *text);


int
cmd_map_check(const cmd_options_t *options)
{
    int          code;
    size_t       i;
    cmd_host_t   host;
    const char  *text, *endpoint;

    for (i = 0, code = CMD_OK; code == CMD_OK && i < options->maps.n; i++) {

        text = options->maps.items[i];
        endpoint = cmd_map_parse(&host, text);

        code = endpoint ? cmd_pipe_check(options, endpoint)
                        : cmd_fail(CMD_USAGE, "invalid \"%s\", must be "
                                   "HOST=URL or HOST:PORT=URL", text);
    }

    return code;
}


/* Returns the endpoint, or NULL if the map is invalid. */

static const char *
cmd_map_parse(cmd_host_t *host, const char *text)
{
    const char  *equals;

    equals = strchr(text, '=');

    if (equals == NULL
        || cmd_host_parse(host, text, (size_t) (equals - text)) == -1)
    {
        return NULL;
    }

    if (host->port == -1) {
        host->port = CMD_MAP_PORT;
    }

    return equals + 1;
}


const char *
cmd_map_find(const cmd_options_t *options, const cmd_host_t *host)
{
    size_t       i;
    cmd_host_t   mapped;
    const char  *endpoint;

    for (i = 0; i < options->maps.n; i++) {

        endpoint = cmd_map_parse(&mapped, options->maps.items[i]);

        if (endpoint && mapped.port == host->port
            && strcmp(mapped.name, host->name) == 0)
        {
            return endpoint;
        }
    }

    return NULL;
}
