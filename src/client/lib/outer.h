
/*
 * The outer connection: sends bytes in the body of a POST and receives bytes in
 * the body of the response.  Cookies are stored and sent, connections are kept
 * alive.  Bodies are not interpreted.
 *
 *     atls_outer_t *outer = atls_outer_create(&conf, &failure);
 *
 *     rc = atls_outer_post(outer, bytes, n, sink, data);
 *
 * Like a client, it must not be used by two threads at the same time.  Headers
 * outer_*.h are for use within outer.c and outer_*.c.
 */


#ifndef ATLS_CLIENT_OUTER_H_INCLUDED
#define ATLS_CLIENT_OUTER_H_INCLUDED


#include <openssl/types.h>

#include "debug.h"
#include "error.h"
#include "route.h"
#include "transport.h"


typedef struct {
    const char          *url;
    const char          *user;              /* strings are as in atls.h, */
    const char          *http;              /* NULL is the default */
    const char          *user_agent;
    const char *const   *headers;           /* NULL, or terminated by NULL */
    int64_t              idle_timeout;      /* milliseconds; 0: none */
    atls_route_conf_t    route;
    atls_transport_t     transport;         /* zeroed: HTTP by libcurl */

    X509_STORE          *trust;             /* for atls_outer_info_t; NULL:
                                               certificates are not verified */
    atls_debug_t         debug;
} atls_outer_conf_t;


typedef struct atls_outer_s  atls_outer_t;

/*
 * Receives a piece of the response body.  If it does not return ATLS_OK, the
 * POST is aborted and returns the same error; the sink sets its text.
 */

typedef atls_error_e (*atls_sink_pt)(void *data, const unsigned char *bytes,
    size_t n);


/*
 * Strings are copied, a reference to conf->trust is taken.  Errors of all calls
 * are stored in failure, which must stay valid.  Returns NULL on error.
 */

atls_outer_t *atls_outer_create(const atls_outer_conf_t *conf,
    atls_failure_t *failure);

void atls_outer_free(atls_outer_t *outer);

/*
 * Sends a POST with n bytes, which may be 0.  The sink is called only if the
 * response has the status 200 or 201 and the media type of ATLS; otherwise, an
 * error is returned.  If a 201 response gives a URI to the session, later POSTs
 * are sent there.
 */

atls_error_e atls_outer_post(atls_outer_t *outer, const void *bytes, size_t n,
    atls_sink_pt sink, void *data);

/*
 * Whether POSTs, and the responses to them, contain messages instead of records
 * (message/http, aes128gcm); the default is 0.
 */

void atls_outer_set_message(atls_outer_t *outer, int message);

/*
 * The identifier of the session, by its URI or its cookie; NULL: unknown.  When
 * the first cookie expires: changes if a response has set it again.
 */

const char *atls_outer_session(atls_outer_t *outer);
int64_t atls_outer_expiry(const atls_outer_t *outer);

/*
 * Sends the last POST again, on a new connection: perhaps there is another
 * path.
 */

atls_error_e atls_outer_again(atls_outer_t *outer, const void *bytes, size_t n,
    atls_sink_pt sink, void *data);

/*
 * Waits for some milliseconds.  Returns ATLS_ERROR_TIMEOUT at once, without an
 * error text, if there would be no time left for a POST.
 */

atls_error_e atls_outer_pause(atls_outer_t *outer, int64_t time);

/*
 * Returns the next bytes of the body, at most size.  0: none are available yet;
 * the function is called again after atls_outer_resume().  ATLS_SOURCE_END: the
 * body is complete.
 */

typedef size_t (*atls_source_pt)(void *data, void *buf, size_t size);

#define ATLS_SOURCE_END         ((size_t) -1)

/*
 * Sends a POST with n bytes, at least 1, as they become available, on a new
 * connection of libcurl.
 */

atls_error_e atls_outer_stream(atls_outer_t *outer, size_t n,
    atls_source_pt source, atls_sink_pt sink, void *data);

/* May be called by the function of atls_outer_set_wait(). */

void atls_outer_resume(atls_outer_t *outer);

/*
 * A second connection for POSTs of the same session, with the same options.  It
 * must be freed first.  Returns NULL on error.
 */

atls_outer_t *atls_outer_clone(const atls_outer_t *outer);

/*
 * The same as atls_outer_post(), or atls_outer_again(), in two steps, for a
 * multi handle of libcurl, which performs the transfer in between.  The bytes
 * must stay valid.
 */

void atls_outer_start(atls_outer_t *outer, const void *bytes, size_t n,
    int again, atls_sink_pt sink, void *data);

/*
 * The same for an open POST: its length is not known.  It gets a connection of
 * its own, as it cannot be repeated if that is closed.
 */

void atls_outer_start_open(atls_outer_t *outer, atls_source_pt source,
    atls_sink_pt sink, void *data);

/*
 * From then on, libcurl sends each of these POSTs once: it is lost if a
 * connection that was kept alive turns out to be closed.
 */

void atls_outer_set_once(atls_outer_t *outer);

/* Whether the other side has closed its connection. */

int atls_outer_is_closed(const atls_outer_t *outer);

atls_error_e atls_outer_end(atls_outer_t *outer, int code);
void *atls_outer_handle(const atls_outer_t *outer);

/*
 * Sets a function that tells whether the sink must not be called now; later,
 * atls_outer_resume() is called.
 */

void atls_outer_set_full(atls_outer_t *outer, int (*full)(void *data));

/* Sets a deadline for POSTs, by atls_clock(); 0: none. */

void atls_outer_set_deadline(atls_outer_t *outer, int64_t deadline);

/* Whether the deadline has passed. */

int atls_outer_is_late(const atls_outer_t *outer);

/*
 * Sets a function that is called about once a second during a POST; the POST is
 * aborted if it does not return 0.
 */

void atls_outer_set_wait(atls_outer_t *outer, int (*wait)(void *data),
    void *data);

/*
 * A transfer consists of several POSTs.  Fills atls_transfer_info_t, except for
 * members of the inner session; times are relative to "began", by
 * atls_clock_us().
 */

void atls_outer_transfer_begin(atls_outer_t *outer);
void atls_outer_transfer(const atls_outer_t *outer, atls_transfer_info_t *info,
    int64_t began);

/*
 * Deletes the cookies and the URI of the session: the next POST is the first
 * one of another session.
 */

void atls_outer_forget(atls_outer_t *outer);

/*
 * Copies the cookies and the URI of another connection: the next POST belongs
 * to the same session.  Returns 0 or -1.
 */

int atls_outer_join(atls_outer_t *outer, const atls_outer_t *other);

/* Whether the last response has set them. */

int atls_outer_renewed(const atls_outer_t *outer);

/* Whether the session has a URI. */

int atls_outer_is_located(const atls_outer_t *outer);

/* Whether a cookie has expired, so that the session has ended. */

int atls_outer_expired(const atls_outer_t *outer);

/* The connection of the last POST. */

typedef enum {
    ATLS_CONNECTION_NONE = 0,           /* not kept alive */
    ATLS_CONNECTION_KEPT,
    ATLS_CONNECTION_LOST                /* was kept alive, but is closed, or has
                                           received something */
} atls_connection_e;

atls_connection_e atls_outer_connection(const atls_outer_t *outer);

/*
 * Whether the last POST was sent on an existing connection.  If not, libcurl
 * may have sent it twice: on an existing connection, which failed, and on a new
 * one.
 */

int atls_outer_is_reused(const atls_outer_t *outer);

/*
 * Whether anything of the last POST may have been sent.  If not, no connection
 * was established.
 */

int atls_outer_sent(const atls_outer_t *outer);

/* Whether the endpoint has an https URL. */

int atls_outer_is_secure(const atls_outer_t *outer);

/* Whether POSTs are sent by another transport, not over HTTP. */

int atls_outer_is_carried(const atls_outer_t *outer);

/* The number of the last POST in its session, beginning with 1. */

unsigned atls_outer_number(const atls_outer_t *outer);

/* The status of the last response; 0 if there was none. */

int atls_outer_status(const atls_outer_t *outer);

/*
 * Whether the last response was one of an ATLS endpoint: a response to records,
 * or a problem document of ATLS.  Anyone on the path can forge it.
 */

int atls_outer_is_endpoint(const atls_outer_t *outer);

/* Whether the last response was a problem document of ATLS with this name. */

int atls_outer_is_problem(const atls_outer_t *outer, const char *name);

/* Calls a function for each header field of the last response. */

void atls_outer_each_header(const atls_outer_t *outer,
    void (*each)(void *data, const char *name, const char *value), void *data);

void atls_outer_info(const atls_outer_t *outer, atls_outer_info_t *info);

/*
 * Stores what the information says of the result of the last POST; restores it
 * after other POSTs.
 */

void atls_outer_mark(atls_outer_t *outer);
void atls_outer_recall(atls_outer_t *outer);


#endif /* ATLS_CLIENT_OUTER_H_INCLUDED */
