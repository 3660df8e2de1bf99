
/*
 * A local DTLS client, see source.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/clock.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../base/verbose.h"
#include "source.h"
#include "stop.h"
#include "thread.h"


#define CMD_SOURCE_POST     (1024 * 1024)   /* maximum size of a POST's body */
#define CMD_SOURCE_IDLE     600000          /* milliseconds, as the default of
                                               atls_session_timeout */
#define CMD_SOURCE_STOP     3000            /* milliseconds for the POST in
                                               progress */


static void *cmd_source_thread(void *data);
static void cmd_source_posts(cmd_source_t *source, char *buf);
static int cmd_source_wait(const cmd_source_t *source);
static size_t cmd_source_gather(const cmd_source_t *source, char *buf);
static size_t cmd_source_records(const char *datagram, size_t n);
static void cmd_source_post(cmd_source_t *source, const char *buf, size_t n);
static atls_error_e cmd_source_sink(void *data, const unsigned char *bytes,
    size_t n);
static atls_error_e cmd_source_send(void *data, const unsigned char *record,
    size_t n);
static int cmd_source_stops(void *data);
static void cmd_source_log(const cmd_source_t *source);


cmd_source_t *
cmd_source_start(const cmd_options_t *options, const char *endpoint, int fd,
    const struct sockaddr_storage *address, socklen_t len)
{
    int            error;
    cmd_source_t  *source;

    source = cmd_alloc(sizeof(cmd_source_t));

    source->options = options;
    source->endpoint = endpoint;
    source->fd = fd;
    source->address = *address;
    source->len = len;
    source->began = atls_clock();

    cmd_listen_name((const struct sockaddr *) address, len, source->peer);
    snprintf(source->tag, sizeof(source->tag), "%s ", source->peer);

    /* the pair keeps the borders of datagrams */

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   source->pair)
        == -1)
    {
        cmd_fail(CMD_MEMORY, "%s: cannot create a socket: %s", source->peer,
                 strerror(errno));
        free(source);
        return NULL;
    }

    error = cmd_thread_start(&source->thread, cmd_source_thread, source);

    if (error) {
        cmd_fail(CMD_MEMORY, "%s: cannot start a thread: %s", source->peer,
                 strerror(error));
        close(source->pair[0]);
        close(source->pair[1]);
        free(source);
        return NULL;
    }

    return source;
}


void
cmd_source_pass(cmd_source_t *source, const void *datagram, size_t n)
{
    (void) !send(source->pair[0], datagram, n, MSG_NOSIGNAL);
}


int
cmd_source_ended(cmd_source_t *source)
{
    return __atomic_load_n(&source->ended, __ATOMIC_ACQUIRE);
}


void
cmd_source_join(cmd_source_t *source)
{
    pthread_join(source->thread, NULL);
    close(source->pair[0]);
    close(source->pair[1]);
    free(source);
}


static void *
cmd_source_thread(void *data)
{
    char          *buf;
    cmd_source_t  *source = data;

    if (source->options->verbose) {
        source->debug.handler = cmd_verbose;
        source->debug.data = source->tag;
    }

    source->outer = cmd_pipe_outer(source->options, source->endpoint,
                                   &source->debug, &source->failure);

    if (source->outer) {
        atls_outer_set_wait(source->outer, cmd_source_stops, source);

        buf = cmd_realloc(NULL, CMD_SOURCE_POST);
        cmd_source_posts(source, buf);
        free(buf);
    }

    atls_outer_free(source->outer);

    if (!source->options->silent) {
        cmd_source_log(source);
    }

    __atomic_store_n(&source->ended, 1, __ATOMIC_RELEASE);

    return NULL;
}


static void
cmd_source_posts(cmd_source_t *source, char *buf)
{
    size_t  n;

    while (cmd_source_wait(source)) {

        n = cmd_source_gather(source, buf);

        if (n) {
            cmd_source_post(source, buf, n);
        }
    }
}


/* Returns 0 if the client was idle for too long, or the program stops. */

static int
cmd_source_wait(const cmd_source_t *source)
{
    int            n;
    struct pollfd  fds[2];

    fds[0].fd = source->pair[1];
    fds[0].events = POLLIN;
    fds[1].fd = cmd_stop_fd();
    fds[1].events = POLLIN;

    do {
        n = poll(fds, 2, CMD_SOURCE_IDLE);

    } while (n == -1 && errno == EINTR);

    return n > 0 && fds[0].revents && !cmd_stopping();
}


/*
 * The records that are there, as many as fit into a POST.  Whatever else is in
 * a datagram is discarded (RFC 6347, section 4.1.2.7): in a POST it would hide
 * the records behind it.
 */

static size_t
cmd_source_gather(const cmd_source_t *source, char *buf)
{
    size_t   n;
    ssize_t  got;

    n = 0;

    while (CMD_SOURCE_POST - n >= CMD_SOURCE_DATAGRAM) {

        got = recv(source->pair[1], buf + n, CMD_SOURCE_DATAGRAM, 0);

        if (got <= 0) {
            break;
        }

        n += cmd_source_records(buf + n, (size_t) got);
    }

    return n;
}


/* The length of the whole records that a datagram begins with. */

static size_t
cmd_source_records(const char *datagram, size_t n)
{
    size_t                whole, len;
    const unsigned char  *p = (const unsigned char *) datagram;

    whole = 0;

    while (n - whole >= ATLS_DATAGRAM_HEADER) {
        len = atls_datagram_size(p + whole);

        if (p[whole + 1] != 0xfe            /* DTLS 1.x */
            || len > ATLS_DATAGRAM_RECORD || len > n - whole)
        {
            break;
        }

        whole += len;
    }

    return whole;
}


/*
 * If a POST fails, its datagrams are lost: the client sends those of a
 * handshake again, and decides about others.  If the session is lost, the next
 * ClientHello begins another one.
 */

static void
cmd_source_post(cmd_source_t *source, const char *buf, size_t n)
{
    source->posts++;
    source->sent += n;
    source->datagrams.have = 0;

    atls_failure_clear(&source->failure);

    if (atls_outer_post(source->outer, buf, n, cmd_source_sink, source)
        != ATLS_OK
        && atls_outer_status(source->outer) == 410)
    {
        atls_outer_forget(source->outer);
    }
}


static atls_error_e
cmd_source_sink(void *data, const unsigned char *bytes, size_t n)
{
    cmd_source_t  *source = data;

    source->received += n;

    return atls_datagrams_add(&source->datagrams, bytes, n, cmd_source_send,
                              source, &source->failure);
}


static atls_error_e
cmd_source_send(void *data, const unsigned char *record, size_t n)
{
    cmd_source_t  *source = data;

    (void) sendto(source->fd, record, n, 0,
                  (struct sockaddr *) &source->address, source->len);

    return ATLS_OK;
}


static int
cmd_source_stops(void *data)
{
    cmd_source_t  *source = data;

    if (source->stopped == 0 && cmd_stopping()) {
        source->stopped = atls_clock();
    }

    return source->stopped && atls_clock() - source->stopped > CMD_SOURCE_STOP;
}


static void
cmd_source_log(const cmd_source_t *source)
{
    char  *summary;

    summary = cmd_pipe_line(source->posts, source->sent, source->received,
                            source->began, source->failure.text);
    printf("%s %s\n", source->peer, summary);
    free(summary);
}
