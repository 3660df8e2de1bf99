
/*
 * The outer connection: bytes go out in the body of a POST, bytes come back in
 * that of its answer.  Cookies are kept and sent, connections kept alive.  It
 * knows nothing of what the bytes are.
 *
 *     atls_outer_t *outer = atls_outer_create(&conf, &failure);
 *
 *     rc = atls_outer_post(outer, bytes, n, sink, data);
 *
 * One thread at a time, as with a client.
 */


#ifndef ATLS_CLIENT_OUTER_H_INCLUDED
#define ATLS_CLIENT_OUTER_H_INCLUDED


#include <openssl/types.h>

#include "debug.h"
#include "error.h"


#define ATLS_MEDIA_TYPE     "application/atls+octet-stream"


typedef struct {
    const char          *url;
    const char          *proxy;             /* these: NULL for the default, */
    const char          *proxy_user;        /* as described in atls.h */
    const char          *proxy_ca_file;
    const char          *http;
    const char          *user_agent;
    const char *const   *headers;           /* NULL, or ends with NULL */
    int64_t              connect_timeout;   /* milliseconds, 0 for none */
    int64_t              idle_timeout;

    X509_STORE          *trust;             /* for atls_outer_info_t; NULL:
                                               nothing is verified */
    atls_debug_t         debug;
} atls_outer_conf_t;


typedef struct atls_outer_s  atls_outer_t;

/*
 * A piece of the answer's body.  Another result than ATLS_OK ends the POST,
 * and becomes its own; the text is up to the sink.
 */

typedef atls_error_e (*atls_sink_pt)(void *data, const unsigned char *bytes,
    size_t n);


/*
 * Strings are copied; the store is shared.  The failure is kept for whatever
 * goes wrong later.  NULL: it failed.
 */

atls_outer_t *atls_outer_create(const atls_outer_conf_t *conf,
    atls_failure_t *failure);

void atls_outer_free(atls_outer_t *outer);

/*
 * Sends n bytes, n may be 0.  The sink is called only if the answer is a 200
 * of the media type; for another one, the error and its text tell.
 */

atls_error_e atls_outer_post(atls_outer_t *outer, const void *bytes, size_t n,
    atls_sink_pt sink, void *data);

/* When all POSTs have to be over, as atls_clock() tells it; 0 for never. */

void atls_outer_set_deadline(atls_outer_t *outer, int64_t deadline);

/* Called about once a second during a POST; other than 0 ends it. */

void atls_outer_set_wait(atls_outer_t *outer, int (*wait)(void *data),
    void *data);

/* Forgets the cookies: the next POST is the first one of a session. */

void atls_outer_forget(atls_outer_t *outer);

/*
 * Whether the last POST went over a connection that was there before.  If not,
 * libcurl may have sent it twice: over that one, which was lost, and a new one.
 */

int atls_outer_is_reused(const atls_outer_t *outer);

/* The status of the last answer; 0 if there was none. */

int atls_outer_status(const atls_outer_t *outer);

/* Whether libcurl's contexts are those of the OpenSSL that is used here. */

int atls_outer_same_openssl(void);

void atls_outer_info(const atls_outer_t *outer, atls_outer_info_t *info);


#endif /* ATLS_CLIENT_OUTER_H_INCLUDED */
