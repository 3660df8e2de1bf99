
/*
 * POSTs of a session, which are sent again if there is no response: the server
 * recognizes the same bytes, and sends the same response.
 *
 *     atls_retry_init(&retry, outer, &failure, &debug, ATLS_DEFAULT_RETRIES);
 *     rc = atls_retry_post(&retry, bytes, n, sink, data);
 *     atls_retry_free(&retry);
 */


#ifndef ATLS_CLIENT_RETRY_H_INCLUDED
#define ATLS_CLIENT_RETRY_H_INCLUDED


#include "buf.h"
#include "debug.h"
#include "error.h"
#include "outer.h"
#include "passed.h"
#include "records.h"


#define ATLS_DEFAULT_RETRIES    5


typedef struct {
    atls_outer_t        *outer;             /* not owned, as the following */
    atls_failure_t      *failure;
    const atls_debug_t  *debug;
    unsigned             max;               /* repetitions of a POST */

    /*
     * Whether the response of the last POST is incomplete although it ends with
     * a complete record; NULL: unknown.
     */

    int                (*missing)(void *data);

    /* the session */

    atls_records_t       sent;
    unsigned             known:1;           /* there was a response */

    /* the last POST */

    atls_sink_pt         sink;
    void                *sink_data;
    unsigned             tries;             /* repetitions until now */
    unsigned             timeouts;
    atls_records_t       received;          /* of this response */
    atls_passed_t        passed;            /* what the sink has got, of any
                                               response */
    atls_buf_t           flight;            /* the first response */
    unsigned             collects:1;        /* it is not passed yet */
    unsigned             repeats:1;         /* it can be sent again */
    unsigned             posted:1;          /* anything may have been sent */
    unsigned             lost:1;            /* the endpoint has refused a
                                               repetition: the session cannot be
                                               continued */
} atls_retry_t;


/* The structure must be zeroed; it may be initialized again. */

void atls_retry_init(atls_retry_t *retry, atls_outer_t *outer,
    atls_failure_t *failure, const atls_debug_t *debug, unsigned max);
void atls_retry_free(atls_retry_t *retry);

/* The next POST is the first one of another session. */

void atls_retry_start(atls_retry_t *retry);

/*
 * As atls_outer_post(), but the POST may be sent several times, and the sink
 * gets each byte of the response once.  If all of them fail, the error is that
 * of the first one, unless the time is over, or the sink has failed.
 */

atls_error_e atls_retry_post(atls_retry_t *retry, const void *bytes, size_t n,
    atls_sink_pt sink, void *data);

/*
 * Milliseconds before a POST that has failed is sent again, if that was done as
 * many times before.  -1: the time in Retry-After is too long.
 */

int64_t atls_retry_pause(const atls_retry_t *retry, const atls_outer_t *outer,
    unsigned tries);


#endif /* ATLS_CLIENT_RETRY_H_INCLUDED */
