
/*
 * Datagrams of local DTLS clients, carried in POSTs, see udp.h.
 *
 * A client is an address and a port.  It has a thread, which gets its datagrams
 * over a socket pair.  If a pair is full, or there are too many clients,
 * datagrams are lost, as on a network.
 */


#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/exitcode.h"
#include "../base/util.h"
#include "source.h"
#include "stop.h"
#include "udp.h"


#define CMD_UDP_MAX         256             /* clients */
#define CMD_UDP_CHECK       1000            /* milliseconds */


typedef struct {
    const cmd_options_t  *options;
    const char           *endpoint;
    cmd_source_t         *sources;
    size_t                nsources;
} cmd_udp_t;


static void cmd_udp_wait(const cmd_listen_t *listen);
static void cmd_udp_receive(cmd_udp_t *udp, int fd);
static cmd_source_t *cmd_udp_source(cmd_udp_t *udp, int fd,
    const struct sockaddr_storage *ss, socklen_t len);
static void cmd_udp_join(cmd_udp_t *udp, int all);


int
cmd_udp_serve(cmd_listen_t *listen, const cmd_options_t *options,
    const char *endpoint)
{
    size_t     i;
    cmd_udp_t  udp;

    memset(&udp, 0, sizeof(cmd_udp_t));
    udp.options = options;
    udp.endpoint = endpoint;

    while (!cmd_stopping()) {
        cmd_udp_wait(listen);

        for (i = 0; i < listen->n; i++) {
            cmd_udp_receive(&udp, listen->fds[i]);
        }

        cmd_udp_join(&udp, 0);
    }

    /* responses to POSTs in progress still need the sockets */

    cmd_udp_join(&udp, 1);
    cmd_listen_close(listen);

    return CMD_OK;
}


static void
cmd_udp_wait(const cmd_listen_t *listen)
{
    size_t         i;
    struct pollfd  fds[CMD_LISTEN_SOCKETS + 1];

    for (i = 0; i < listen->n; i++) {
        fds[i].fd = listen->fds[i];
        fds[i].events = POLLIN;
    }

    fds[i].fd = cmd_stop_fd();
    fds[i].events = POLLIN;

    (void) poll(fds, i + 1, CMD_UDP_CHECK);
}


static void
cmd_udp_receive(cmd_udp_t *udp, int fd)
{
    ssize_t                  n;
    socklen_t                len;
    cmd_source_t            *source;
    struct sockaddr_storage  ss;

    static char  buf[CMD_SOURCE_DATAGRAM];

    for ( ;; ) {
        memset(&ss, 0, sizeof(ss));
        len = sizeof(ss);

        n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *) &ss, &len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return;
        }

        source = cmd_udp_source(udp, fd, &ss, len);

        if (source && n) {
            cmd_source_pass(source, buf, (size_t) n);
        }
    }
}


/* The source of a datagram; NULL: there are too many. */

static cmd_source_t *
cmd_udp_source(cmd_udp_t *udp, int fd, const struct sockaddr_storage *ss,
    socklen_t len)
{
    cmd_source_t  *source;

    for (source = udp->sources; source; source = source->next) {
        if (source->fd == fd && source->len == len
            && memcmp(&source->address, ss, len) == 0
            && !cmd_source_ended(source))
        {
            return source;
        }
    }

    if (udp->nsources == CMD_UDP_MAX) {
        return NULL;
    }

    source = cmd_source_start(udp->options, udp->endpoint, fd, ss, len);

    if (source) {
        source->next = udp->sources;
        udp->sources = source;
        udp->nsources++;
    }

    return source;
}


/* Frees the sources that have ended, or waits for all of them. */

static void
cmd_udp_join(cmd_udp_t *udp, int all)
{
    cmd_source_t  *source, **next;

    next = &udp->sources;

    while (*next) {
        source = *next;

        if (!all && !cmd_source_ended(source)) {
            next = &source->next;
            continue;
        }

        *next = source->next;
        udp->nsources--;

        cmd_source_join(source);
    }
}
