
/* Listening sockets. */


#ifndef ATLS_CMD_LISTEN_H_INCLUDED
#define ATLS_CMD_LISTEN_H_INCLUDED


#include <netdb.h>
#include <stddef.h>
#include <sys/socket.h>


#define CMD_LISTEN_SOCKETS  8               /* addresses of one name */
#define CMD_LISTEN_NAME     (NI_MAXHOST + NI_MAXSERV + 4)


typedef struct {
    int      fds[CMD_LISTEN_SOCKETS];       /* they do not block */
    size_t   n;
} cmd_listen_t;


/*
 * "port", "address:port" or "[address]:port": both parts are to be freed,
 * whatever the exit code is.  Without an address it is 127.0.0.1.
 */

int cmd_listen_split(const char *text, char **host, char **port);

/*
 * Listens on all addresses of a name, and says on stderr which these are,
 * unless it is to be silent.  Returns an exit code; they are to be closed.
 */

int cmd_listen_open(cmd_listen_t *listen, const char *text, int silent);

void cmd_listen_close(cmd_listen_t *listen);

/* "address:port" or "[address]:port" */

void cmd_listen_name(const struct sockaddr *sa, socklen_t len,
    char name[CMD_LISTEN_NAME]);


#endif /* ATLS_CMD_LISTEN_H_INCLUDED */
