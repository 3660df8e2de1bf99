
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


/*
 * A backend: reads the request body completely, and then responds to "/bytes/n"
 * with n bytes.  Connections are kept alive.
 *
 *     backend PORT
 */


#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>


#define BACKEND_CHUNK  (256 * 1024)


typedef struct {
    int                 fd;
    char                head[4096];
    size_t              nhead;
    uint64_t            take;           /* bytes of the request body left */
    uint64_t            give;           /* bytes of the response left */
    int                 answering;
    int                 writing;
} conn_t;


static void backend_accept(int fd);
static int backend_readable(conn_t *c);
static int backend_take(conn_t *c, char *data, size_t len);
static int backend_answer(conn_t *c);
static int backend_give(conn_t *c);
static void backend_die(const char *what);


static int   ep;
static char  in[BACKEND_CHUNK], out[BACKEND_CHUNK];


int
main(int argc, char **argv)
{
    int                 i, n, fd, ok, one = 1;
    conn_t             *c;
    struct epoll_event  ev, events[64];
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(argc == 2 ? atoi(argv[1]) : 0);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) || listen(fd, 511)) {
        backend_die("listen");
    }

    memset(out, 'x', sizeof(out));
    ep = epoll_create1(0);

    memset(&ev, 0, sizeof(ev));
    ev.events = EPOLLIN;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);

    for ( ;; ) {
        n = epoll_wait(ep, events, 64, -1);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c == NULL) {
                backend_accept(fd);
                continue;
            }

            ok = (events[i].events & EPOLLOUT) ? backend_give(c)
                                               : backend_readable(c);
            if (!ok) {
                close(c->fd);
                free(c);
            }
        }
    }
}


static void
backend_accept(int fd)
{
    int                 s, one = 1;
    conn_t             *c;
    struct epoll_event  ev;

    s = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
    if (s == -1) {
        return;
    }

    c = calloc(1, sizeof(conn_t));
    if (c == NULL) {
        backend_die("memory");
    }

    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    c->fd = s;
    ev.events = EPOLLIN;
    ev.data.ptr = c;
    epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
}


/* Returns 0 if the connection must be closed. */

static int
backend_readable(conn_t *c)
{
    ssize_t  n;

    n = read(c->fd, in, sizeof(in));

    if (n == -1 && errno == EAGAIN) {
        return 1;
    }

    return n > 0 && backend_take(c, in, n);
}


static int
backend_take(conn_t *c, char *data, size_t len)
{
    char    *end, *length;
    size_t   n;

    if (c->answering) {
        return 0;
    }

    if (c->take == 0) {
        n = sizeof(c->head) - 1 - c->nhead;
        n = n < len ? n : len;

        memcpy(c->head + c->nhead, data, n);
        c->nhead += n;
        c->head[c->nhead] = '\0';

        end = strstr(c->head, "\r\n\r\n");

        if (end == NULL) {
            return n == len;
        }

        /* of the data, what is not of the head */

        n -= c->nhead - (end + 4 - c->head);
        data += n;
        len -= n;

        length = strcasestr(c->head, "\r\nContent-Length:");
        c->take = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
    }

    if (len > c->take) {
        return 0;
    }

    c->take -= len;

    return c->take ? 1 : backend_answer(c);
}


static int
backend_answer(conn_t *c)
{
    int      n;
    char     buf[16384], *path;
    size_t   more;

    path = strstr(c->head, " /bytes/");
    c->give = path ? strtoull(path + 8, NULL, 10) : 0;
    c->nhead = 0;
    c->answering = 1;

    n = snprintf(buf, 512, "HTTP/1.1 200 OK\r\n"
                 "Content-Type: application/octet-stream\r\n"
                 "Content-Length: %llu\r\n\r\n", (unsigned long long) c->give);

    more = sizeof(buf) - n;
    more = more < c->give ? more : c->give;

    memcpy(buf + n, out, more);
    c->give -= more;

    if (send(c->fd, buf, n + more, MSG_NOSIGNAL) != (ssize_t) (n + more)) {
        return 0;
    }

    return backend_give(c);
}


static int
backend_give(conn_t *c)
{
    int                 writing;
    size_t              n;
    ssize_t             sent;
    struct epoll_event  ev;

    writing = 0;

    while (c->give) {
        n = c->give < sizeof(out) ? c->give : sizeof(out);
        sent = send(c->fd, out, n, MSG_NOSIGNAL);

        if (sent == -1 && errno == EAGAIN) {
            writing = 1;
            break;
        }

        if (sent == -1) {
            return 0;
        }

        c->give -= sent;
    }

    if (!writing) {
        c->answering = 0;
    }

    if (writing != c->writing) {
        c->writing = writing;
        ev.events = writing ? EPOLLOUT : EPOLLIN;
        ev.data.ptr = c;
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
    }

    return 1;
}


static void
backend_die(const char *what)
{
    perror(what);
    exit(1);
}
