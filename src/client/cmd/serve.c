
/*
 * A TCP server, see serve.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "exitcode.h"
#include "serve.h"
#include "stop.h"
#include "thread.h"
#include "util.h"


#define CMD_SERVE_MAX       1024            /* concurrent connections */
#define CMD_SERVE_PAUSE     100             /* milliseconds */


typedef struct cmd_server_s  cmd_server_t;
typedef struct cmd_served_s  cmd_served_t;

struct cmd_served_s {
    cmd_server_t        *server;
    pthread_t            thread;
    cmd_stream_t         stream;
    cmd_served_t        *next;
};


struct cmd_server_s {
    cmd_serve_pt         serve;
    void                *data;
    unsigned             running;           /* threads not joined yet */
    int                  paused;            /* accept() failed, pause */

    int                  pipe[2];           /* receives a byte when a thread
                                               ends */
    pthread_mutex_t      lock;
    cmd_served_t        *ended;
};


static void cmd_serve_raise_limit(void);
static void cmd_serve_wait(cmd_server_t *server, cmd_listen_t *listen);
static void cmd_serve_accept(cmd_server_t *server, int fd);
static void cmd_serve_start(cmd_server_t *server, int fd);
static void *cmd_serve_thread(void *data);
static void cmd_serve_join(cmd_server_t *server);


int
cmd_serve(cmd_listen_t *listen, cmd_serve_pt serve, void *data)
{
    int           stopping;
    size_t        i;
    cmd_server_t  server;

    memset(&server, 0, sizeof(cmd_server_t));
    server.serve = serve;
    server.data = data;

    if (pipe2(server.pipe, O_CLOEXEC | O_NONBLOCK) == -1) {
        return cmd_fail(CMD_MEMORY, "cannot create a pipe: %s",
                        strerror(errno));
    }

    pthread_mutex_init(&server.lock, NULL);
    cmd_serve_raise_limit();

    do {
        cmd_serve_wait(&server, listen);

        /* checked before accept(), so that earlier connections are served */

        stopping = cmd_stopping();

        for (i = 0; i < listen->n; i++) {
            cmd_serve_accept(&server, listen->fds[i]);
        }

    } while (!stopping);

    cmd_listen_close(listen);

    while (server.running) {
        cmd_serve_wait(&server, NULL);
    }

    pthread_mutex_destroy(&server.lock);
    close(server.pipe[0]);
    close(server.pipe[1]);

    return CMD_OK;
}


/* Raises the limit of open files: each connection needs some. */

static void
cmd_serve_raise_limit(void)
{
    struct rlimit  limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }
}


/*
 * Waits for the end of a thread, for a signal, and for connections unless there
 * are too many.  If listen is NULL, waits only for the end of a thread.
 */

static void
cmd_serve_wait(cmd_server_t *server, cmd_listen_t *listen)
{
    size_t         i;
    nfds_t         n;
    struct pollfd  fds[2 + CMD_LISTEN_SOCKETS];

    fds[0].fd = server->pipe[0];
    fds[0].events = POLLIN;
    fds[1].fd = listen ? cmd_stop_fd() : -1;
    fds[1].events = POLLIN;
    n = 2;

    for (i = 0;
         listen && i < listen->n && server->running < CMD_SERVE_MAX
         && !server->paused;
         i++)
    {
        fds[n].fd = listen->fds[i];
        fds[n++].events = POLLIN;
    }

    (void) poll(fds, n, server->paused ? CMD_SERVE_PAUSE : -1);

    server->paused = 0;
    cmd_serve_join(server);
}


/* Accepts all pending connections. */

static void
cmd_serve_accept(cmd_server_t *server, int fd)
{
    int  connection;

    while (server->running < CMD_SERVE_MAX && !server->paused) {

        connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        if (connection != -1) {
            cmd_serve_start(server, connection);
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
cmd_serve_start(cmd_server_t *server, int fd)
{
    int            error;
    cmd_served_t  *served;

    served = cmd_realloc(NULL, sizeof(cmd_served_t));
    served->server = server;
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

    server->serve(server->data, &served->stream);

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
