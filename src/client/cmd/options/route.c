
/*
 * The route of outer connections, see route.h.
 */


#include <string.h>

#include "route.h"


#define CMD_CONNECT_TIMEOUT     30000       /* milliseconds, as in atls.h */


static const char *const *cmd_route_list(const cmd_list_t *list);


void
cmd_route(atls_route_conf_t *conf, const cmd_options_t *options)
{
    memset(conf, 0, sizeof(atls_route_conf_t));

    conf->proxy = options->proxy;
    conf->proxy_user = options->proxy_user;
    conf->proxy_auth = options->proxy_auth;
    conf->no_proxy = options->no_proxy;
    conf->proxy_headers = cmd_route_list(&options->proxy_headers);
    conf->resolve = cmd_route_list(&options->resolve);
    conf->connect_to = cmd_route_list(&options->connect_to);
    conf->ip_version = options->ip_version;
    conf->rate = options->rate;
    conf->connect_timeout = options->connect_timeout != -1
                            ? options->connect_timeout : CMD_CONNECT_TIMEOUT;
}


static const char *const *
cmd_route_list(const cmd_list_t *list)
{
    return (const char *const *) list->items;
}
