
/*
 * A local DTLS client, whose datagrams are carried in POSTs: one session, and
 * one POST at a time, with all datagrams that have come in the meantime.  Each
 * record of a response becomes a datagram.
 */


#ifndef ATLS_CMD_SOURCE_H_INCLUDED
#define ATLS_CMD_SOURCE_H_INCLUDED


#include <pthread.h>
#include <sys/socket.h>

#include "../../lib/datagrams.h"
#include "../options/options.h"
#include "pipe.h"


#define CMD_SOURCE_DATAGRAM  65536


typedef struct cmd_source_s  cmd_source_t;

struct cmd_source_s {
    const cmd_options_t     *options;
    const char              *endpoint;

    int                      fd;            /* not owned */
    struct sockaddr_storage  address;
    socklen_t                len;
    char                     peer[CMD_LISTEN_NAME];
    char                     tag[CMD_LISTEN_NAME + 1];

    pthread_t                thread;
    int                      pair[2];       /* datagrams, to the thread */
    int                      ended;         /* atomic */

    atls_outer_t            *outer;
    atls_debug_t             debug;
    atls_failure_t           failure;
    int64_t                  began;
    int64_t                  stopped;       /* 0: not yet */
    unsigned                 posts;
    uint64_t                 sent;
    uint64_t                 received;

    atls_datagrams_t         datagrams;     /* of a response */

    cmd_source_t            *next;
};


/*
 * Starts the thread of a client with this address.  Returns NULL on error,
 * after a message.
 */

cmd_source_t *cmd_source_start(const cmd_options_t *options,
    const char *endpoint, int fd, const struct sockaddr_storage *address,
    socklen_t len);

/* Passes a datagram to the thread, or drops it. */

void cmd_source_pass(cmd_source_t *source, const void *datagram, size_t n);

/* Whether the thread has ended: the client was idle, or the program stops. */

int cmd_source_ended(cmd_source_t *source);

/* Waits for the thread, and frees the source. */

void cmd_source_join(cmd_source_t *source);


#endif /* ATLS_CMD_SOURCE_H_INCLUDED */
