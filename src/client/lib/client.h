
/*
 * The client structure, for use within the library.
 */


#ifndef ATLS_CLIENT_CLIENT_H_INCLUDED
#define ATLS_CLIENT_CLIENT_H_INCLUDED


#include <pthread.h>

#include "buf.h"
#include "debug.h"
#include "error.h"
#include "exported.h"
#include "outer.h"
#include "request.h"
#include "response.h"
#include "resume.h"
#include "retry.h"
#include "target.h"
#include "tls.h"
#include "transport.h"


#define ATLS_STRINGS    (ATLS_PINNED_KEY + 1)
#define ATLS_NUMBERS    (ATLS_DTLS + 1)
#define ATLS_LISTS      (ATLS_CONNECT_TO + 1)


typedef struct {
    char                   **items;         /* NULL, or terminated by NULL */
    size_t                   n;
} atls_strings_t;


struct atls_client_s {
    atls_target_t            target;
    char                    *strings[ATLS_STRINGS];
    int64_t                  numbers[ATLS_NUMBERS];
    atls_strings_t           lists[ATLS_LISTS];
    atls_debug_t             debug;
    atls_store_t             store;
    atls_transport_t         transport;     /* zeroed: HTTP by libcurl */
    char                     key[ATLS_RESUME_KEY];

    atls_failure_t           failure;
    unsigned                 ready:1;       /* options cannot be changed */
    unsigned                 busy:1;        /* in a callback */
    unsigned                 open:1;        /* the session can be used */
    unsigned                 doubted:1;     /* it may be lost, as others are */
    unsigned                 failed:1;      /* a POST has failed: sessions of
                                               other clients may be lost */
    int64_t                  seen;          /* when the session last existed,
                                               by atls_clock() */
    int64_t                  unknown;       /* when a POST was sent for a lost
                                               one; 0: never */
    int64_t                  deadline;      /* of the request, by atls_clock();
                                               0: none */
    int64_t                  began;         /* the call, by atls_clock_us() */

    X509_STORE              *trust;
    atls_outer_t            *outer;
    atls_retry_t             retry;         /* its POSTs */
    atls_tls_t               tls;

    /* with exported keys: the client with the session, see exported.h */

    atls_client_t           *lead;          /* NULL: this one */
    pthread_mutex_t          lock;          /* of the following, and of the
                                               session */
    uint64_t                 number;        /* of the next message */
    int64_t                  awaited[ATLS_EXPORTED_WINDOW];
                                            /* when the last messages were sent,
                                               by their number modulo the size;
                                               0: the server has it */
    pthread_cond_t           answered;      /* one of them */
    unsigned                 sessions;      /* number of the session */
    unsigned                 cookies;       /* changed when they are set */

    /* the current or last request */

    atls_message_t           message;
    size_t                   header_size;   /* of the message */
    atls_response_t          response;
    atls_buf_t               out;           /* records for the next POST */
    unsigned                 sending:1;     /* the server may have received a
                                               part of the request */
    unsigned                 sent:1;        /* the whole request */
    unsigned                 posted:1;      /* a part of it, in any attempt */
    unsigned                 used:1;        /* the session was already open */
    unsigned                 lost:1;        /* the session was lost */

    /* an upgrade, and after it */

    const char              *upgrade;       /* to this protocol is possible */
    atls_sink_pt             upgraded;
    void                    *upgraded_data;

    /* for atls_get_session() */

    atls_certificate_t       certificate;
    char                     alpn[256];
};


/* Creates the objects that depend on the options, once. */

atls_error_e atls_client_prepare(atls_client_t *client);

/* Sets another transport for POSTs.  Must be called before the first one. */

void atls_client_set_transport(atls_client_t *client,
    const atls_transport_t *transport);


#endif /* ATLS_CLIENT_CLIENT_H_INCLUDED */
