
/*
 * A handshake in flight in this worker: OpenSSL does it, between memory BIOs,
 * over as many POSTs as the client makes of it.  When it is finished, its
 * session becomes an established one and nothing of this is left.
 *
 * A handshake owns its SSL, its memory pool and a timer; it ends itself, and
 * its session, when the timer fires.
 */


#ifndef _NGX_HTTP_ATLS_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_ATLS_HANDSHAKE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_sni.h"


/* What input brings about. */

typedef enum {
    ngx_http_atls_handshake_again = 0,         /* more has to come */
    ngx_http_atls_handshake_early,             /* early data, to be taken before
                                                  the next input */
    ngx_http_atls_handshake_finished,
    ngx_http_atls_handshake_failed             /* with an alert in the output,
                                                  or without */
} ngx_http_atls_handshake_e;


/*
 * The time of a handshake is up: of the POST that it is served by now, or else
 * of the inner connection that waits in its session.  The other one is NULL.
 */

typedef void (*ngx_http_atls_expire_pt)(ngx_http_atls_post_t *post,
    ngx_http_atls_inner_t *inner);


/*
 * Begins a handshake for a session just made, for a POST.  NGX_BUSY: the worker
 * has no connection left for it; NGX_ERROR; both logged.  The log is the
 * worker's: a handshake outlives the connection of its POST.
 */

ngx_int_t ngx_http_atls_handshake_create(ngx_http_atls_main_conf_t *amcf,
    ngx_http_request_t *r, ngx_http_atls_session_t *session, ngx_log_t *log,
    ngx_http_atls_expire_pt expire, ngx_http_atls_handshake_t **hs);

/* The number in flight in this worker. */

ngx_uint_t ngx_http_atls_handshakes(void);

/*
 * The POST that a handshake is served by now, or NULL.  Called when a POST
 * takes or leaves the session.
 */

void ngx_http_atls_handshake_attach(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_post_t *post);

/*
 * When it has expired: goes on, if it is not the client that is waited for
 * (working).  NGX_DECLINED: it does not, logged.
 */

ngx_int_t ngx_http_atls_handshake_prolong(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session, ngx_uint_t working);

/*
 * The most bytes that are to be fed next: up to the end of a record's header,
 * or of the record, so that none after the handshake gets into OpenSSL.
 */

size_t ngx_http_atls_handshake_want(ngx_http_atls_handshake_t *hs);

/* Feeds these or fewer. */

ngx_http_atls_handshake_e ngx_http_atls_handshake_input(
    ngx_http_atls_handshake_t *hs, u_char *data, size_t len, ngx_log_t *log);

/*
 * What the session of early data goes by, wherever it comes to: its client has
 * been let in there.
 */

ngx_http_atls_target_t *ngx_http_atls_handshake_target(
    ngx_http_atls_handshake_t *hs);

/* The early data, in the handshake's memory. */

ngx_str_t ngx_http_atls_handshake_early_data(ngx_http_atls_handshake_t *hs);

/*
 * Answers early data before the client's Finished (RFC 8446, section 4.4.4):
 * seals len bytes, gathered, as one record that is all of the output, and at
 * most TRL_CHANNEL_OVERHEAD longer.  NGX_ERROR, logged.
 */

ngx_int_t ngx_http_atls_handshake_seal(ngx_http_atls_handshake_t *hs,
    struct iovec *iov, ngx_uint_t niov, size_t len, ngx_log_t *log);

/* The largest plaintext of such a record. */

size_t ngx_http_atls_handshake_max(ngx_http_atls_handshake_t *hs);

/* The output so far, in OpenSSL's memory, until it is said to be sent. */

ngx_str_t ngx_http_atls_handshake_output(ngx_http_atls_handshake_t *hs);
void ngx_http_atls_handshake_sent(ngx_http_atls_handshake_t *hs);

/* Whether there was any. */

ngx_uint_t ngx_http_atls_handshake_answered(ngx_http_atls_handshake_t *hs);

/* Whether more was sent than asks for a ClientHello, or for another one. */

ngx_uint_t ngx_http_atls_handshake_past_hello(ngx_http_atls_handshake_t *hs);

/*
 * Tells the session what is known of it and of its client: when there is early
 * data, or else when the handshake is finished.  NGX_BUSY: there is no room for
 * that in the zone; NGX_ERROR.  Both are logged.
 */

ngx_int_t ngx_http_atls_handshake_describe(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session);

/*
 * Freezes a finished handshake into its session, then frees the handshake.
 * NGX_BUSY, NGX_ERROR: as above.
 */

ngx_int_t ngx_http_atls_handshake_freeze(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session, ngx_log_t *log);

/* Frees a handshake, not its session. */

void ngx_http_atls_handshake_free(ngx_http_atls_handshake_t *hs);


#endif /* _NGX_HTTP_ATLS_HANDSHAKE_H_INCLUDED_ */
