
/*
 * The connection of the last POST, see outer_connection.h.
 */


#include <poll.h>

#include "outer_connection.h"
#include "outer_struct.h"


static curl_socket_t atls_outer_socket(const atls_outer_t *outer);
static void atls_outer_look_tls(atls_outer_t *outer);
static void atls_outer_look_times(atls_outer_t *outer, int64_t began);


void
atls_outer_look(atls_outer_t *outer, int64_t began)
{
    outer->kept = atls_outer_socket(outer) != CURL_SOCKET_BAD;

    atls_reply_look(&outer->reply);
    atls_outer_look_tls(outer);
    atls_outer_look_times(outer, began);
}


/* The socket of the last POST, if its connection is kept alive. */

static curl_socket_t
atls_outer_socket(const atls_outer_t *outer)
{
    curl_socket_t  fd;

    return curl_easy_getinfo(outer->curl, CURLINFO_ACTIVESOCKET, &fd)
           == CURLE_OK ? fd : CURL_SOCKET_BAD;
}


/*
 * The new connection has no TLS session with the endpoint: recorded
 * certificates are those of a proxy.
 */

static void
atls_outer_look_tls(atls_outer_t *outer)
{
    curl_off_t  time;

    time = 0;
    curl_easy_getinfo(outer->curl, CURLINFO_APPCONNECT_TIME_T, &time);

    if (time == 0 && !atls_outer_is_reused(outer)) {
        atls_seen_clear(&outer->seen);
    }
}


/* Times of the first connection; the others are repetitions. */

static void
atls_outer_look_times(atls_outer_t *outer, int64_t began)
{
    long        connects;
    curl_off_t  resolved, connected;

    connects = 0;
    resolved = 0;
    connected = 0;

    curl_easy_getinfo(outer->curl, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(outer->curl, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    curl_easy_getinfo(outer->curl, CURLINFO_CONNECT_TIME_T, &connected);

    if (outer->connections == 0 && (connects || outer->code != CURLE_OK)) {
        outer->resolved = resolved ? began + resolved : 0;
        outer->connected = connected ? began + connected : 0;
    }

    outer->connections += (unsigned) connects;
}


void
atls_outer_transfer_begin(atls_outer_t *outer)
{
    outer->connections = 0;
    outer->resolved = 0;
    outer->connected = 0;
}


void
atls_outer_transfer(const atls_outer_t *outer, atls_transfer_info_t *info,
    int64_t began)
{
    atls_route_info(outer->curl, info);

    info->name_lookup = outer->resolved ? outer->resolved - began : 0;
    info->connect = outer->connected ? outer->connected - began : 0;
    info->connections = outer->connections;
}


atls_connection_e
atls_outer_connection(const atls_outer_t *outer)
{
    struct pollfd  pfd;

    if (!outer->kept) {
        return ATLS_CONNECTION_NONE;
    }

    pfd.fd = atls_outer_socket(outer);
    pfd.events = POLLIN;

    return pfd.fd == CURL_SOCKET_BAD || poll(&pfd, 1, 0) != 0
           ? ATLS_CONNECTION_LOST : ATLS_CONNECTION_KEPT;
}


int
atls_outer_is_reused(const atls_outer_t *outer)
{
    long  connects;

    connects = 0;
    curl_easy_getinfo(outer->curl, CURLINFO_NUM_CONNECTS, &connects);

    return connects == 0 || outer->reposted;
}


int
atls_outer_sent(const atls_outer_t *outer)
{
    curl_off_t  time;

    time = 0;
    curl_easy_getinfo(outer->curl, CURLINFO_PRETRANSFER_TIME_T, &time);

    return time != 0 || outer->repost.sent || outer->carrier.sent;
}
