
/*
 * The sockets of libcurl, see sockets.h.
 */


#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sockets.h"


static curl_socket_t atls_sockets_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *address);
static int atls_sockets_close(void *data, curl_socket_t fd);
static void atls_sockets_remove(atls_sockets_t *sockets, size_t i);


void
atls_sockets_watch(atls_sockets_t *sockets, CURL *curl)
{
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION,
                     sockets ? atls_sockets_open : NULL);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, sockets);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION,
                     sockets ? atls_sockets_close : NULL);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, sockets);
}


static curl_socket_t
atls_sockets_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    atls_sockets_t  *sockets = data;

    curl_socket_t  fd;

    (void) purpose;

    fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
                address->protocol);

    if (fd == CURL_SOCKET_BAD || address->socktype != SOCK_STREAM) {
        return fd;
    }

    if (sockets->n == ATLS_SOCKETS_MAX) {
        atls_sockets_remove(sockets, 0);
    }

    sockets->fds[sockets->n++] = fd;

    return fd;
}


/* Of the connections that were tried at the same time, one is left. */

static int
atls_sockets_close(void *data, curl_socket_t fd)
{
    size_t           i;
    atls_sockets_t  *sockets = data;

    for (i = 0; i < sockets->n; i++) {
        if (sockets->fds[i] == fd) {
            atls_sockets_remove(sockets, i);
            break;
        }
    }

    return close(fd);
}


static void
atls_sockets_remove(atls_sockets_t *sockets, size_t i)
{
    sockets->n--;
    memmove(&sockets->fds[i], &sockets->fds[i + 1],
            (sockets->n - i) * sizeof(curl_socket_t));
}


int
atls_sockets_ended(const atls_sockets_t *sockets)
{
    char  ch;

    return sockets->n
           && recv(sockets->fds[sockets->n - 1], &ch, 1,
                   MSG_PEEK | MSG_DONTWAIT)
              == 0;
}
