
/*
 * The route of a connection, see route.h.
 */


#include <limits.h>
#include <string.h>

#include "route.h"


#define ATLS_ROUTE_BUFFER       (128 * 1024)
#define ATLS_ROUTE_MIN_BUFFER   1024            /* limit of libcurl */


static int atls_route_strings(CURL *curl, const atls_route_conf_t *conf);
static int atls_route_auth(CURL *curl, const char *name,
    atls_failure_t *failure);
static void atls_route_limits(CURL *curl, const atls_route_conf_t *conf);


int
atls_route_set(atls_route_t *route, CURL *curl, const atls_route_conf_t *conf,
    atls_failure_t *failure)
{
    if (atls_route_append(&route->proxy_headers, conf->proxy_headers) == -1
        || atls_route_append(&route->resolve, conf->resolve) == -1
        || atls_route_append(&route->connect_to, conf->connect_to) == -1
        || atls_route_strings(curl, conf) == -1)
    {
        atls_fail_memory(failure);
        return -1;
    }

    if (atls_route_auth(curl, conf->proxy_auth, failure) == -1) {
        return -1;
    }

    curl_easy_setopt(curl, CURLOPT_PROXYHEADER, route->proxy_headers);
    curl_easy_setopt(curl, CURLOPT_RESOLVE, route->resolve);
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, route->connect_to);

    /* headers for the server are not sent to a proxy in CONNECT */

    curl_easy_setopt(curl, CURLOPT_HEADEROPT, (long) CURLHEADER_SEPARATE);
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);

    curl_easy_setopt(curl, CURLOPT_IPRESOLVE,
                     conf->ip_version == 4 ? (long) CURL_IPRESOLVE_V4
                     : conf->ip_version == 6 ? (long) CURL_IPRESOLVE_V6
                     : (long) CURL_IPRESOLVE_WHATEVER);

    atls_route_limits(curl, conf);

    return 0;
}


int
atls_route_append(struct curl_slist **list, const char *const *items)
{
    struct curl_slist  *longer;

    for ( /* void */ ; items && *items; items++) {

        longer = curl_slist_append(*list, *items);
        if (longer == NULL) {
            return -1;
        }

        *list = longer;
    }

    return 0;
}


static int
atls_route_strings(CURL *curl, const atls_route_conf_t *conf)
{
    size_t  i;

    const struct {
        CURLoption   option;
        const char  *value;
    } strings[] = {
        { CURLOPT_PROXY,         conf->proxy },
        { CURLOPT_PROXYUSERPWD,  conf->proxy_user },
        { CURLOPT_PROXY_CAINFO,  conf->proxy_ca_file },
        { CURLOPT_NOPROXY,       conf->no_proxy },
    };

    for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        if (strings[i].value
            && curl_easy_setopt(curl, strings[i].option, strings[i].value)
               != CURLE_OK)
        {
            return -1;
        }
    }

    return 0;
}


/*
 * With Basic, credentials are sent with the first request.  Other schemes need
 * a challenge.
 */

static int
atls_route_auth(CURL *curl, const char *name, atls_failure_t *failure)
{
    size_t  i;

    static const struct {
        const char      *name;
        unsigned long    bits;
    } schemes[] = {
        { "basic",       CURLAUTH_BASIC },
        { "digest",      CURLAUTH_DIGEST },
        { "negotiate",   CURLAUTH_NEGOTIATE },
        { "ntlm",        CURLAUTH_NTLM },
        { "anyauth",     CURLAUTH_ANY },
    };

    if (name == NULL) {
        return 0;
    }

    for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {

        if (strcmp(name, schemes[i].name) == 0
            && curl_easy_setopt(curl, CURLOPT_PROXYAUTH,
                                (long) schemes[i].bits)
               == CURLE_OK)
        {
            return 0;
        }
    }

    atls_fail(failure, ATLS_ERROR_USAGE,
              "proxy authentication not supported by libcurl: \"%s\"", name);

    return -1;
}


static void
atls_route_limits(CURL *curl, const atls_route_conf_t *conf)
{
    long  buffer;

    buffer = ATLS_ROUTE_BUFFER;

    if (conf->rate) {
        curl_easy_setopt(curl, CURLOPT_MAX_SEND_SPEED_LARGE,
                         (curl_off_t) conf->rate);
        curl_easy_setopt(curl, CURLOPT_MAX_RECV_SPEED_LARGE,
                         (curl_off_t) conf->rate);

        /* libcurl may receive 100 buffers before it looks at the rate */

        if (conf->rate / 64 < buffer) {
            buffer = conf->rate / 64 > ATLS_ROUTE_MIN_BUFFER
                     ? (long) conf->rate / 64 : ATLS_ROUTE_MIN_BUFFER;
        }
    }

    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, buffer);

    /* 0 would be libcurl's default */

    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     conf->connect_timeout ? (long) conf->connect_timeout
                                           : (long) INT_MAX);
}


void
atls_route_info(CURL *curl, atls_transfer_info_t *info)
{
    long         status, local, remote;
    const char  *local_ip, *remote_ip;

    status = local = remote = 0;
    local_ip = remote_ip = NULL;

    curl_easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &status);
    curl_easy_getinfo(curl, CURLINFO_LOCAL_PORT, &local);
    curl_easy_getinfo(curl, CURLINFO_PRIMARY_PORT, &remote);
    curl_easy_getinfo(curl, CURLINFO_LOCAL_IP, &local_ip);
    curl_easy_getinfo(curl, CURLINFO_PRIMARY_IP, &remote_ip);

    info->connect_status = (int) status;
    info->local_port = (int) local;
    info->remote_port = (int) remote;

    snprintf(info->local_ip, sizeof(info->local_ip), "%s",
             local_ip ? local_ip : "");
    snprintf(info->remote_ip, sizeof(info->remote_ip), "%s",
             remote_ip ? remote_ip : "");
}


void
atls_route_free(atls_route_t *route)
{
    curl_slist_free_all(route->proxy_headers);
    curl_slist_free_all(route->resolve);
    curl_slist_free_all(route->connect_to);

    memset(route, 0, sizeof(atls_route_t));
}
