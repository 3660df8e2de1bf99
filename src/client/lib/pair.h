
/*
 * Two POSTs of a session at the same time: one with data, and a poll, which
 * waits for data of the server.
 *
 *     atls_pair_init(&pair, outer, &failure);
 *     atls_pair_start(&pair, ATLS_PAIR_POLL, bytes, n, 0, sink, data);
 *
 *     do {
 *         atls_pair_transfer(&pair);
 *         atls_pair_wait(&pair, fds, nfds, timeout);
 *     } while (!atls_pair_ended(&pair, ATLS_PAIR_POLL, &rc));
 */


#ifndef ATLS_CLIENT_PAIR_H_INCLUDED
#define ATLS_CLIENT_PAIR_H_INCLUDED


#include <poll.h>

#include "outer.h"


typedef enum {
    ATLS_PAIR_DATA = 0,
    ATLS_PAIR_POLL,
    ATLS_PAIR_POSTS
} atls_pair_e;


typedef struct {
    void             *multi;                /* of libcurl */

    struct {
        atls_outer_t *outer;
        unsigned      busy:1;
        unsigned      ended:1;
        int           code;                 /* of libcurl, when it has ended */
    } posts[ATLS_PAIR_POSTS];

    atls_pair_e       newest;               /* has the cookies, */
    int               apart;                /* and the other one has not */
} atls_pair_t;


/*
 * Uses the connection for POSTs with data, and a second one for polls.  libcurl
 * does not send polls again.  The structure must be freed in any case.  Returns
 * 0 or -1.
 */

int atls_pair_init(atls_pair_t *pair, atls_outer_t *outer);
void atls_pair_free(atls_pair_t *pair);

/*
 * Starts a POST.  The bytes must stay valid until its end.  If it is sent
 * again, it gets a new connection.
 */

atls_error_e atls_pair_start(atls_pair_t *pair, atls_pair_e which,
    const void *bytes, size_t n, int again, atls_sink_pt sink, void *data);

atls_error_e atls_pair_start_open(atls_pair_t *pair, atls_pair_e which,
    atls_source_pt source, atls_sink_pt sink, void *data);

/*
 * Copies the cookies and the URI of the session, which any response may have
 * set, to the other connection, unless that is in use.  Returns 0 or -1.
 */

int atls_pair_join(atls_pair_t *pair);

/* Whether a POST was started, and its end was not reported. */

int atls_pair_busy(const atls_pair_t *pair, atls_pair_e which);

/* Transfers data; waits until there are more, or a descriptor is ready. */

void atls_pair_transfer(atls_pair_t *pair);
void atls_pair_wait(atls_pair_t *pair, struct pollfd *fds, unsigned n,
    int timeout);

/* Whether a POST has ended, and that was not reported. */

int atls_pair_has_ended(const atls_pair_t *pair, atls_pair_e which);

/* Returns 1 once, when a POST has ended, with its result. */

int atls_pair_ended(atls_pair_t *pair, atls_pair_e which, atls_error_e *result);

/* Aborts the POST, if any. */

void atls_pair_abort(atls_pair_t *pair, atls_pair_e which);


#endif /* ATLS_CLIENT_PAIR_H_INCLUDED */
