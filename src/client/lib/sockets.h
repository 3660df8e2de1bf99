
/*
 * The sockets of a handle of libcurl.  libcurl does not report that the other
 * side has closed a connection on which data are still to be sent.
 */


#ifndef ATLS_CLIENT_SOCKETS_H_INCLUDED
#define ATLS_CLIENT_SOCKETS_H_INCLUDED


#include <curl/curl.h>


#define ATLS_SOCKETS_MAX    8               /* the last ones are kept */


typedef struct {
    curl_socket_t    fds[ATLS_SOCKETS_MAX]; /* of open connections */
    size_t           n;
} atls_sockets_t;


/*
 * Records the sockets of connections that the handle opens.  The structure must
 * be zeroed, and stay valid until they are closed.  NULL: not any more.
 */

void atls_sockets_watch(atls_sockets_t *sockets, CURL *curl);

/*
 * Whether the other side has closed the last connection, and all data were
 * received.
 */

int atls_sockets_ended(const atls_sockets_t *sockets);


#endif /* ATLS_CLIENT_SOCKETS_H_INCLUDED */
