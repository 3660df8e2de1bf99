
/*
 * A TCP server, see serve.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/exitcode.h"
#include "../base/file.h"
#include "../base/util.h"
#include "serve.h"
#include "stop.h"
#include "thread.h"


#define CMD_SERVE_MAX       1024            /* concurrent connections */
#define CMD_SERVE_PAUSE     100             /* milliseconds */


typedef struct cmd_server_s  cmd_server_t;
typedef struct cmd_served_s  cmd_served_t;

struct cmd_served_s {
    cmd_server_t        *server;
    void                *data;
    pthread_t            thread;
    cmd_stream_t         stream;
    cmd_served_t        *next;
};


struct cmd_server_s {
    cmd_port_t          *ports;
    size_t               nports;
    cmd_serve_pt         serve;
    struct pollfd       *fds;

    unsigned             running;           /* threads not joined yet */
    int                  paused;            /* accept() failed, pause */

    int                  pipe[2];           /* receives a byte when a thread
                                               ends */
    pthread_mutex_t      lock;
    cmd_served_t        *ended;
};


static size_t cmd_serve_sockets(const cmd_server_t *server);
static void cmd_serve_wait(cmd_server_t *server, int accepting);
static void cmd_serve_accept_all(cmd_server_t *server);
static void cmd_serve_accept(cmd_server_t *server, int fd, void *data);
static void cmd_serve_start(cmd_server_t *server, int fd, void *data);
static void *cmd_serve_thread(void *data);
static void cmd_serve_join(cmd_server_t *server);


int
cmd_serve(cmd_port_t *ports, size_t n, cmd_serve_pt serve)
{
    int           stopping;
    size_t        i;
    cmd_server_t  server;

    memset(&server, 0, sizeof(cmd_server_t));
    server.ports = ports;
    server.nports = n;
    server.serve = serve;

    if (pipe2(server.pipe, O_CLOEXEC | O_NONBLOCK) == -1) {
        return cmd_fail(CMD_MEMORY, "cannot create a pipe: %s",
                        strerror(errno));
    }

    pthread_mutex_init(&server.lock, NULL);
    cmd_file_raise_limit();

    server.fds = cmd_alloc((2 + cmd_serve_sockets(&server))
                           * sizeof(struct pollfd));

    do {
        cmd_serve_wait(&server, 1);

        /* checked before accept(), so that earlier connections are served */

        stopping = cmd_stopping();

        cmd_serve_accept_all(&server);

    } while (!stopping);

    for (i = 0; i < n; i++) {
        cmd_listen_close(&ports[i].listen);
    }

    while (server.running) {
        cmd_serve_wait(&server, 0);
    }

    pthread_mutex_destroy(&server.lock);
    close(server.pipe[0]);
    close(server.pipe[1]);
    free(server.fds);

    return CMD_OK;
}


static size_t
cmd_serve_sockets(const cmd_server_t *server)
{
    size_t  i, n;

    for (i = 0, n = 0; i < server->nports; i++) {
        n += server->ports[i].listen.n;
    }

    return n;
}


/*
 * Waits for the end of a thread, for a signal, and for connections unless there
 * are too many.  If not accepting, waits only for the end of a thread.
 */

static void
cmd_serve_wait(cmd_server_t *server, int accepting)
{
    size_t                i, k;
    nfds_t                n;
    struct pollfd        *fds = server->fds;
    const cmd_listen_t   *listen;

    fds[0].fd = server->pipe[0];
    fds[1].fd = accepting ? cmd_stop_fd() : -1;
    n = 2;

    for (i = 0;
         accepting && i < server->nports && server->running < CMD_SERVE_MAX
         && !server->paused;
         i++)
    {
        listen = &server->ports[i].listen;

        for (k = 0; k < listen->n; k++) {
            fds[n++].fd = listen->fds[k];
        }
    }

    for (i = 0; i < n; i++) {
        fds[i].events = POLLIN;
    }

    (void) poll(fds, n, server->paused ? CMD_SERVE_PAUSE : -1);

    server->paused = 0;
    cmd_serve_join(server);
}


static void
cmd_serve_accept_all(cmd_server_t *server)
{
    size_t       i, k;
    cmd_port_t  *port;

    for (i = 0; i < server->nports; i++) {
        port = &server->ports[i];

        for (k = 0; k < port->listen.n; k++) {
            cmd_serve_accept(server, port->listen.fds[k], port->data);
        }
    }
}


/* Accepts all pending connections. */

static void
cmd_serve_accept(cmd_server_t *server, int fd, void *data)
{
    int  connection;

    while (server->running < CMD_SERVE_MAX && !server->paused) {

        connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        if (connection != -1) {
            cmd_serve_start(server, connection, data);
            continue;
        }

        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        }

        /* if there are no free descriptors, an immediate retry fails, too */

        server->paused = errno != EINTR && errno != ECONNABORTED;
    }
}


static void
cmd_serve_start(cmd_server_t *server, int fd, void *data)
{
    int            error;
    cmd_served_t  *served;

    served = cmd_realloc(NULL, sizeof(cmd_served_t));
    served->server = server;
    served->data = data;
    cmd_stream_init(&served->stream, fd);

    error = cmd_thread_start(&served->thread, cmd_serve_thread, served);

    if (error) {
        cmd_fail(CMD_MEMORY, "%s: cannot start a thread: %s",
                 served->stream.peer, strerror(error));

        cmd_stream_close(&served->stream);
        free(served);
        return;
    }

    server->running++;
}


static void *
cmd_serve_thread(void *data)
{
    cmd_served_t  *served = data;
    cmd_server_t  *server = served->server;

    server->serve(served->data, &served->stream);

    cmd_stream_close(&served->stream);

    pthread_mutex_lock(&server->lock);

    served->next = server->ended;
    server->ended = served;

    /* if the pipe is full, poll() returns, too */

    (void) !write(server->pipe[1], "", 1);

    pthread_mutex_unlock(&server->lock);

    return NULL;
}


static void
cmd_serve_join(cmd_server_t *server)
{
    char           bytes[64];
    cmd_served_t  *served, *next;

    while (read(server->pipe[0], bytes, sizeof(bytes)) > 0) { /* void */ }

    pthread_mutex_lock(&server->lock);
    served = server->ended;
    server->ended = NULL;
    pthread_mutex_unlock(&server->lock);

    for ( /* void */ ; served; served = next) {
        next = served->next;

        pthread_join(served->thread, NULL);
        free(served);
        server->running--;
    }
}
