
/*
 * Listening sockets, see listen.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/exitcode.h"
#include "../base/util.h"
#include "listen.h"


#define CMD_LISTEN_DEFAULT  "127.0.0.1"
#define CMD_LISTEN_UNIX     "unix:"
#define CMD_LISTEN_PATH     sizeof(((struct sockaddr_un *) NULL)->sun_path)


static const char *cmd_listen_path(const char *text);
static int cmd_listen_split(const char *text, char **host, char **port);
static int cmd_listen_is_port(const char *text);
static int cmd_listen_unix(cmd_listen_t *listen, const char *path);
static int cmd_listen_bind_unix(const struct sockaddr_un *sun);
static int cmd_listen_is_stale(const struct sockaddr_un *sun);
static void cmd_listen_remove(const cmd_listen_t *listen);
static int cmd_listen_inet(cmd_listen_t *listen, const char *text, int type);
static int cmd_listen_bind_all(cmd_listen_t *listen,
    const struct addrinfo *list);
static int cmd_listen_bind(const struct addrinfo *ai);
static int cmd_listen_start(int fd, const struct sockaddr *sa, socklen_t len);
static void cmd_listen_say(const cmd_listen_t *listen);


int
cmd_listen_check(const char *text)
{
    int          code;
    char        *host, *port;
    const char  *path;

    path = cmd_listen_path(text);

    if (path) {
        return *path && strlen(path) < CMD_LISTEN_PATH
               ? CMD_OK
               : cmd_fail(CMD_USAGE, "invalid path in \"%s\"", text);
    }

    code = cmd_listen_split(text, &host, &port);
    free(host);
    free(port);

    return code;
}


int
cmd_listen_is_unix(const char *text)
{
    return cmd_listen_path(text) != NULL;
}


/* Returns the path of a UNIX-domain socket, or NULL. */

static const char *
cmd_listen_path(const char *text)
{
    size_t  n = sizeof(CMD_LISTEN_UNIX) - 1;

    return strncmp(text, CMD_LISTEN_UNIX, n) == 0 ? text + n : NULL;
}


/* Both parts must be freed in any case.  Returns an exit code. */

static int
cmd_listen_split(const char *text, char **host, char **port)
{
    size_t       n;
    const char  *colon, *address;

    colon = strrchr(text, ':');
    address = colon ? text : CMD_LISTEN_DEFAULT;
    n = colon ? (size_t) (colon - text) : strlen(address);

    if (n > 1 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    }

    *host = cmd_copy(address, n);
    *port = cmd_format("%s", colon ? colon + 1 : text);

    /* an IPv6 address without brackets is ambiguous */

    if (n == 0 || (address == text && memchr(address, ':', n))
        || !cmd_listen_is_port(*port))
    {
        return cmd_fail(CMD_USAGE, "invalid \"%s\", must be PORT, "
                                   "ADDRESS:PORT or unix:PATH", text);
    }

    return CMD_OK;
}


static int
cmd_listen_is_port(const char *text)
{
    size_t  n;

    n = strlen(text);

    return n > 0 && n < 6 && strspn(text, "0123456789") == n
           && atoi(text) < 65536;
}


int
cmd_listen_open(cmd_listen_t *listen, const char *text, int silent)
{
    int          code;
    const char  *path;

    memset(listen, 0, sizeof(cmd_listen_t));

    code = cmd_listen_check(text);
    path = cmd_listen_path(text);

    if (code == CMD_OK) {
        code = path ? cmd_listen_unix(listen, path)
                    : cmd_listen_inet(listen, text, SOCK_STREAM);
    }

    if (code == CMD_OK && !silent && path) {
        fprintf(stderr, "atls: listening on %s\n", text);

    } else if (code == CMD_OK && !silent) {
        cmd_listen_say(listen);
    }

    return code;
}


int
cmd_listen_udp(cmd_listen_t *listen, const char *text, int silent)
{
    int  code;

    memset(listen, 0, sizeof(cmd_listen_t));

    code = cmd_listen_inet(listen, text, SOCK_DGRAM);

    if (code == CMD_OK && !silent) {
        cmd_listen_say(listen);
    }

    return code;
}


static int
cmd_listen_unix(cmd_listen_t *listen, const char *path)
{
    int                 fd;
    struct stat         st;
    struct sockaddr_un  sun;

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    memcpy(sun.sun_path, path, strlen(path));

    fd = cmd_listen_bind_unix(&sun);

    if (fd == -1 && errno == EADDRINUSE && cmd_listen_is_stale(&sun)) {
        unlink(path);
        fd = cmd_listen_bind_unix(&sun);
    }

    if (fd == -1) {
        return cmd_fail(CMD_CONNECT, "cannot listen on \"unix:%s\": %s", path,
                        strerror(errno));
    }

    listen->fds[listen->n++] = fd;

    if (lstat(path, &st) == 0) {
        listen->path = cmd_copy(path, strlen(path));
        listen->dev = st.st_dev;
        listen->ino = st.st_ino;
    }

    return CMD_OK;
}


static int
cmd_listen_bind_unix(const struct sockaddr_un *sun)
{
    int  fd;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd == -1 ? -1 : cmd_listen_start(fd, (struct sockaddr *) sun,
                                            sizeof(*sun));
}


/* Whether a socket was left by a process that did not exit normally. */

static int
cmd_listen_is_stale(const struct sockaddr_un *sun)
{
    int          fd, stale;
    struct stat  st;

    /* connect() to another file fails with ECONNREFUSED, too */

    if (lstat(sun->sun_path, &st) == -1 || !S_ISSOCK(st.st_mode)) {
        errno = EADDRINUSE;
        return 0;
    }

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1) {
        return 0;
    }

    stale = connect(fd, (struct sockaddr *) sun, sizeof(*sun)) == -1
            && errno == ECONNREFUSED;

    close(fd);
    errno = EADDRINUSE;

    return stale;
}


/* The path may belong to the successor of this process now. */

static void
cmd_listen_remove(const cmd_listen_t *listen)
{
    struct stat  st;

    if (lstat(listen->path, &st) == 0 && st.st_dev == listen->dev
        && st.st_ino == listen->ino)
    {
        unlink(listen->path);
    }
}


static int
cmd_listen_inet(cmd_listen_t *listen, const char *text, int type)
{
    int               rc, code;
    char             *host, *port;
    struct addrinfo   hints, *list;

    code = cmd_listen_split(text, &host, &port);

    if (code == CMD_OK) {
        memset(&hints, 0, sizeof(hints));
        hints.ai_socktype = type;

        rc = getaddrinfo(host, port, &hints, &list);

        if (rc != 0) {
            code = cmd_fail(CMD_RESOLVE, "cannot resolve \"%s\": %s",
                            host, gai_strerror(rc));

        } else {
            if (cmd_listen_bind_all(listen, list) == -1) {
                code = cmd_fail(CMD_CONNECT, "cannot listen on \"%s\": %s",
                                text, strerror(errno));
            }

            freeaddrinfo(list);
        }
    }

    free(host);
    free(port);

    return code;
}


/*
 * Ignores addresses that are not available on this machine.  An address in use
 * is an error, since clients would connect to another server.
 */

static int
cmd_listen_bind_all(cmd_listen_t *listen, const struct addrinfo *list)
{
    int  fd;

    for ( /* void */ ; list && listen->n < CMD_LISTEN_SOCKETS;
         list = list->ai_next)
    {
        fd = cmd_listen_bind(list);

        if (fd != -1) {
            listen->fds[listen->n++] = fd;

        } else if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT) {
            return -1;
        }
    }

    return listen->n ? 0 : -1;
}


static int
cmd_listen_bind(const struct addrinfo *ai)
{
    int  fd, on;

    fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                ai->ai_protocol);
    if (fd == -1) {
        return -1;
    }

    on = 1;
    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    if (ai->ai_family == AF_INET6) {
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }

    return cmd_listen_start(fd, ai->ai_addr, ai->ai_addrlen);
}


/* Returns the socket, or closes it. */

static int
cmd_listen_start(int fd, const struct sockaddr *sa, socklen_t len)
{
    int  saved;

    if (bind(fd, sa, len) == -1
        || (listen(fd, SOMAXCONN) == -1 && errno != EOPNOTSUPP))
    {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }

    return fd;
}


static void
cmd_listen_say(const cmd_listen_t *listen)
{
    size_t                   i;
    char                     name[CMD_LISTEN_NAME];
    socklen_t                len;
    struct sockaddr_storage  ss;

    for (i = 0; i < listen->n; i++) {
        len = sizeof(ss);

        if (getsockname(listen->fds[i], (struct sockaddr *) &ss, &len) == 0) {
            cmd_listen_name((struct sockaddr *) &ss, len, name);
            fprintf(stderr, "atls: listening on %s\n", name);
        }
    }
}


void
cmd_listen_name(const struct sockaddr *sa, socklen_t len,
    char name[CMD_LISTEN_NAME])
{
    char  host[NI_MAXHOST], port[NI_MAXSERV];

    if (len >= sizeof(sa_family_t) && sa->sa_family == AF_UNIX) {
        snprintf(name, CMD_LISTEN_NAME, CMD_LISTEN_UNIX);
        return;
    }

    if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV)
        != 0)
    {
        snprintf(name, CMD_LISTEN_NAME, "unknown");
        return;
    }

    snprintf(name, CMD_LISTEN_NAME, strchr(host, ':') ? "[%s]:%s" : "%s:%s",
             host, port);
}


void
cmd_listen_close(cmd_listen_t *listen)
{
    size_t  i;

    /* the path of a closed socket would be taken over as a stale one */

    if (listen->path) {
        cmd_listen_remove(listen);
        free(listen->path);
    }

    for (i = 0; i < listen->n; i++) {
        close(listen->fds[i]);
    }

    listen->path = NULL;
    listen->n = 0;
}


int
cmd_listen_port(const cmd_listen_t *listen)
{
    socklen_t                len;
    struct sockaddr_storage  ss;

    /* the port is at the same place for IPv4 and IPv6 */

    len = sizeof(ss);
    memset(&ss, 0, sizeof(ss));

    (void) getsockname(listen->fds[0], (struct sockaddr *) &ss, &len);

    return ntohs(((struct sockaddr_in *) &ss)->sin_port);
}
