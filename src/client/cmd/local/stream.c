
/*
 * Connections of local programs, see stream.h.
 */


#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../lib/clock.h"
#include "stop.h"
#include "stream.h"


#define CMD_STREAM_GRACE    500             /* milliseconds */
#define CMD_STREAM_LINGER   2000
#define CMD_STREAM_STALL    300             /* seconds without progress in a
                                               write */


static int cmd_stream_poll(const cmd_stream_t *stream, int stop, int timeout);


void
cmd_stream_init(cmd_stream_t *stream, int fd)
{
    int                      on;
    socklen_t                len;
    struct timeval           tv;
    struct sockaddr_storage  ss;

    stream->fd = fd;
    stream->pos = 0;
    stream->len = 0;

    len = sizeof(ss);

    if (getpeername(fd, (struct sockaddr *) &ss, &len) == -1) {
        len = 0;                            /* the connection is already
                                               closed */
    }

    cmd_listen_name((struct sockaddr *) &ss, len, stream->peer);

    on = 1;
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    tv.tv_sec = CMD_STREAM_STALL;
    tv.tv_usec = 0;
    (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}


void
cmd_stream_close(cmd_stream_t *stream)
{
    close(stream->fd);
    stream->fd = -1;
}


int
cmd_stream_wait_request(cmd_stream_t *stream, int timeout)
{
    if (stream->pos < stream->len) {
        return 1;
    }

    if (!cmd_stopping() && cmd_stream_poll(stream, cmd_stop_fd(), timeout)) {
        return 1;
    }

    return cmd_stopping() && cmd_stream_poll(stream, -1, CMD_STREAM_GRACE);
}


/* Waits until the connection is readable, which includes EOF and errors. */

static int
cmd_stream_poll(const cmd_stream_t *stream, int stop, int timeout)
{
    int            n;
    int64_t        until;
    struct pollfd  fds[2];

    until = atls_clock() + timeout;

    fds[0].fd = stream->fd;
    fds[0].events = POLLIN;
    fds[0].revents = 0;
    fds[1].fd = stop;                       /* -1: ignored */
    fds[1].events = POLLIN;

    while ((n = poll(fds, 2, timeout)) == -1) {

        if (errno != EINTR) {
            return 1;
        }

        if (timeout > 0) {
            timeout = (int) (until - atls_clock());
            timeout = timeout > 0 ? timeout : 0;
        }
    }

    return n > 0 && fds[0].revents != 0;
}


ssize_t
cmd_stream_fill(cmd_stream_t *stream, int timeout)
{
    ssize_t  n;

    if (stream->pos < stream->len) {
        return (ssize_t) (stream->len - stream->pos);
    }

    stream->pos = 0;
    stream->len = 0;

    /* most often, data are already there */

    while ((n = recv(stream->fd, stream->buf, sizeof(stream->buf),
                     MSG_DONTWAIT))
           == -1)
    {
        if (errno == EAGAIN) {
            if (!cmd_stream_poll(stream, -1, timeout)) {
                errno = EAGAIN;
                return -1;
            }

        } else if (errno != EINTR) {
            return -1;
        }
    }

    if (n > 0) {
        stream->len = (size_t) n;
    }

    return n;
}


int
cmd_stream_pending(const cmd_stream_t *stream)
{
    char  ch;

    return stream->pos < stream->len
           || recv(stream->fd, &ch, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}


int
cmd_stream_wait(const cmd_stream_t *stream, int timeout)
{
    return stream->pos < stream->len || cmd_stream_poll(stream, -1, timeout);
}


int
cmd_stream_gone(const cmd_stream_t *stream)
{
    struct pollfd  pfd;

    pfd.fd = stream->fd;
    pfd.events = POLLRDHUP;

    return poll(&pfd, 1, 0) == 1;
}


int
cmd_stream_write(const cmd_stream_t *stream, struct iovec *pieces, size_t n)
{
    ssize_t        sent;
    struct msghdr  msg;

    memset(&msg, 0, sizeof(msg));

    while (n) {
        msg.msg_iov = pieces;
        msg.msg_iovlen = n;

        sent = sendmsg(stream->fd, &msg, MSG_NOSIGNAL);

        if (sent == -1 && errno != EINTR) {
            return -1;
        }

        for (sent = sent == -1 ? 0 : sent;
             n && (size_t) sent >= pieces->iov_len;
             pieces++, n--)
        {
            sent -= (ssize_t) pieces->iov_len;
        }

        if (n) {
            pieces->iov_base = (char *) pieces->iov_base + sent;
            pieces->iov_len -= (size_t) sent;
        }
    }

    return 0;
}


ssize_t
cmd_stream_send(const cmd_stream_t *stream, const void *bytes, size_t n)
{
    ssize_t  sent;

    sent = send(stream->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);

    return sent == -1 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}


/*
 * Without this, data received after close() would cause a reset, and the client
 * could lose data already sent to it.
 */

void
cmd_stream_end(cmd_stream_t *stream)
{
    int64_t  until, timeout;

    shutdown(stream->fd, SHUT_WR);

    until = atls_clock() + CMD_STREAM_LINGER;

    do {
        stream->pos = stream->len;
        timeout = until - atls_clock();
    } while (timeout > 0 && cmd_stream_fill(stream, (int) timeout) > 0);
}


void
cmd_stream_reset(const cmd_stream_t *stream)
{
    struct linger  linger;

    linger.l_onoff = 1;
    linger.l_linger = 0;

    (void) setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &linger,
                      sizeof(linger));
}
