
/*
 * Access control of the proxy of atls run, see access.h.
 */


#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "../../lib/hex.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "access.h"


#define CMD_ACCESS_USER     "atls"
#define CMD_ACCESS_SOCKETS  "/proc/net/tcp"
#define CMD_ACCESS_OPEN     1               /* TCP_ESTABLISHED */


static int cmd_access_is_password(const cmd_access_t *access,
    const char *value);
static int cmd_access_is_user(int fd);
static int cmd_access_is_socket(const char *line,
    const struct sockaddr_in *peer, const struct sockaddr_in *local);


int
cmd_access_create(cmd_access_t *access)
{
    unsigned char  bytes[CMD_ACCESS_PASSWORD / 2];

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        return cmd_fail(CMD_MEMORY, "no random numbers for credentials");
    }

    atls_hex(access->password, bytes, sizeof(bytes));
    OPENSSL_cleanse(bytes, sizeof(bytes));

    return CMD_OK;
}


void
cmd_access_free(cmd_access_t *access)
{
    OPENSSL_cleanse(access, sizeof(cmd_access_t));
}


char *
cmd_access_url(const cmd_access_t *access, int port)
{
    return cmd_format("http://" CMD_ACCESS_USER ":%s@127.0.0.1:%d",
                      access->password, port);
}


int
cmd_access_allowed(const cmd_access_t *access, int fd, const char *value)
{
    return (value && cmd_access_is_password(access, value))
           || cmd_access_is_user(fd);
}


/* RFC 7617.  The comparison takes the same time for all values of a length. */

static int
cmd_access_is_password(const cmd_access_t *access, const char *value)
{
    int     same;
    char   *expected, text[sizeof(CMD_ACCESS_USER ":") + CMD_ACCESS_PASSWORD];
    size_t  n;

    if (strncasecmp(value, "Basic ", 6) != 0) {
        return 0;
    }

    value += 6;
    value += strspn(value, " ");

    n = (size_t) snprintf(text, sizeof(text), CMD_ACCESS_USER ":%s",
                          access->password);
    expected = cmd_base64(text, n);
    n = strlen(expected);

    same = strlen(value) == n && CRYPTO_memcmp(value, expected, n) == 0;

    OPENSSL_cleanse(text, sizeof(text));
    cmd_wipe(expected);

    return same;
}


/*
 * Whether the peer of a connection is a process of the same user.  The kernel
 * lists the user of each socket.
 */

static int
cmd_access_is_user(int fd)
{
    int                  same;
    char                *line;
    FILE                *file;
    size_t               size;
    socklen_t            peer_len, local_len;
    struct sockaddr_in   peer, local;

    peer_len = sizeof(peer);
    local_len = sizeof(local);

    if (getpeername(fd, (struct sockaddr *) &peer, &peer_len) == -1
        || getsockname(fd, (struct sockaddr *) &local, &local_len) == -1
        || peer.sin_family != AF_INET)
    {
        return 0;
    }

    file = fopen(CMD_ACCESS_SOCKETS, "re");
    if (file == NULL) {
        return 0;
    }

    same = 0;
    line = NULL;
    size = 0;

    while (!same && getline(&line, &size, file) != -1) {
        same = cmd_access_is_socket(line, &peer, &local);
    }

    free(line);
    fclose(file);

    return same;
}


/*
 * Whether a line of the list is about the peer's socket.  A socket that was
 * closed has no user, which is listed as 0, and no inode.
 */

static int
cmd_access_is_socket(const char *line, const struct sockaddr_in *peer,
    const struct sockaddr_in *local)
{
    unsigned       address, port, to, to_port, state, user;
    unsigned long  inode;

    return sscanf(line, " %*u: %x:%x %x:%x %x %*x:%*x %*x:%*x %*x %u %*u %lu",
                  &address, &port, &to, &to_port, &state, &user, &inode)
           == 7
           && address == peer->sin_addr.s_addr && port == ntohs(peer->sin_port)
           && to == local->sin_addr.s_addr && to_port == ntohs(local->sin_port)
           && state == CMD_ACCESS_OPEN && inode != 0 && user == geteuid();
}
