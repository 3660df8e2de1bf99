
/* Listening sockets. */


#ifndef ATLS_CMD_LISTEN_H_INCLUDED
#define ATLS_CMD_LISTEN_H_INCLUDED


#include <netdb.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>


#define CMD_LISTEN_SOCKETS  8               /* addresses of one name */
#define CMD_LISTEN_NAME     (NI_MAXHOST + NI_MAXSERV + 4)


typedef struct {
    int      fds[CMD_LISTEN_SOCKETS];       /* non-blocking */
    size_t   n;
    char    *path;                          /* of a UNIX-domain socket */
    dev_t    dev;
    ino_t    ino;
} cmd_listen_t;


/*
 * Checks "port", "address:port", "[address]:port" or "unix:path".  Returns an
 * exit code.
 */

int cmd_listen_check(const char *text);
int cmd_listen_is_unix(const char *text);

/*
 * Listens on all addresses of a name, by default on 127.0.0.1, or on a
 * UNIX-domain socket, and prints them on stderr unless silent.  The sockets
 * must be closed in any case.  Returns an exit code.
 */

int cmd_listen_open(cmd_listen_t *listen, const char *text, int silent);

/* The same for UDP, without UNIX-domain sockets. */

int cmd_listen_udp(cmd_listen_t *listen, const char *text, int silent);

void cmd_listen_close(cmd_listen_t *listen);

/* The port of the first socket. */

int cmd_listen_port(const cmd_listen_t *listen);

/* Formats an address as "address:port", "[address]:port" or "unix:". */

void cmd_listen_name(const struct sockaddr *sa, socklen_t len,
    char name[CMD_LISTEN_NAME]);


#endif /* ATLS_CMD_LISTEN_H_INCLUDED */
