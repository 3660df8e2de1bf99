
/*
 * A handshake in progress in this worker, by OpenSSL with memory BIOs, over any
 * number of POSTs.  When it is finished, the session is established and the
 * handshake is freed.
 *
 * A handshake owns its SSL, memory pool and timer; when the timer fires, the
 * handshake and its session are removed.
 */


#ifndef _NGX_HTTP_ATLS_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_ATLS_HANDSHAKE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_sni.h"


/* Results of input. */

typedef enum {
    ngx_http_atls_handshake_again = 0,         /* more input is needed */
    ngx_http_atls_handshake_early,             /* early data are available, and
                                                  must be processed first */
    ngx_http_atls_handshake_finished,
    ngx_http_atls_handshake_failed             /* maybe with an alert */
} ngx_http_atls_handshake_e;


/*
 * Called when a handshake times out, with its POST, or else with the parked
 * inner connection of its session.  The other one is NULL.
 */

typedef void (*ngx_http_atls_expire_pt)(ngx_http_atls_post_t *post,
    ngx_http_atls_inner_t *inner);


/*
 * Starts a handshake for a new session and its POST.  NGX_BUSY: no free
 * connections in the worker; NGX_ERROR; both logged.  NGX_DECLINED: the server
 * has no DTLS.  The log is that of the
 * worker, since a handshake outlives the connection of its POST.
 */

ngx_int_t ngx_http_atls_handshake_create(ngx_http_atls_main_conf_t *amcf,
    ngx_http_request_t *r, ngx_http_atls_session_t *session, ngx_uint_t dtls,
    ngx_log_t *log, ngx_http_atls_expire_pt expire,
    ngx_http_atls_handshake_t **hs);

/* The number of handshakes in progress in this worker. */

ngx_uint_t ngx_http_atls_handshakes(void);

/*
 * Sets the current POST of a handshake, or NULL.  Called when a POST takes or
 * puts the session.
 */

void ngx_http_atls_handshake_attach(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_post_t *post);

/*
 * Extends the timeout of an expired handshake, unless the client is awaited
 * (!working).  NGX_DECLINED, logged: not extended.
 */

ngx_int_t ngx_http_atls_handshake_prolong(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session, ngx_uint_t working);

/*
 * The maximum number of bytes for the next input: up to the end of a record
 * header or a record, so that OpenSSL does not get data after the handshake.
 */

size_t ngx_http_atls_handshake_want(ngx_http_atls_handshake_t *hs);

/* Passes at most that many bytes to OpenSSL. */

ngx_http_atls_handshake_e ngx_http_atls_handshake_input(
    ngx_http_atls_handshake_t *hs, u_char *data, size_t len, ngx_log_t *log);

/*
 * The same with DTLS, for a whole record: records that are not needed now are
 * discarded.
 */

ngx_http_atls_handshake_e ngx_http_atls_handshake_datagram(
    ngx_http_atls_handshake_t *hs, u_char *record, size_t len, ngx_log_t *log);

/* Whether the protocol is DTLS. */

ngx_uint_t ngx_http_atls_handshake_dtls(ngx_http_atls_handshake_t *hs);

/*
 * With DTLS: the last flight of the server.  "again": it is needed again, as
 * the client has sent its previous flight again, or data.
 */

ngx_str_t ngx_http_atls_handshake_flight(ngx_http_atls_handshake_t *hs,
    ngx_uint_t *again);

/*
 * Whether a ClientHello with this random value is that of the handshake, or its
 * first one: fragments may come in any order.
 */

ngx_uint_t ngx_http_atls_handshake_is(ngx_http_atls_handshake_t *hs,
    u_char *random);

/*
 * The target of the session of early data, regardless of the POST: the client
 * was accepted there.
 */

ngx_http_atls_target_t *ngx_http_atls_handshake_target(
    ngx_http_atls_handshake_t *hs);

/* The early data, in the handshake's memory. */

ngx_str_t ngx_http_atls_handshake_early_data(ngx_http_atls_handshake_t *hs);

/*
 * Encrypts a response to early data before the client's Finished (RFC 8446,
 * section 4.4.4): len bytes, gathered, to a single record in the output, at
 * most TRL_CHANNEL_OVERHEAD longer.  NGX_ERROR, logged.
 */

ngx_int_t ngx_http_atls_handshake_seal(ngx_http_atls_handshake_t *hs,
    struct iovec *iov, ngx_uint_t niov, size_t len, ngx_log_t *log);

/* The maximum plaintext size of such a record. */

size_t ngx_http_atls_handshake_max(ngx_http_atls_handshake_t *hs);

/* The output, in OpenSSL's memory, until it is marked as sent. */

ngx_str_t ngx_http_atls_handshake_output(ngx_http_atls_handshake_t *hs);
void ngx_http_atls_handshake_sent(ngx_http_atls_handshake_t *hs);

/* Whether there was any output. */

ngx_uint_t ngx_http_atls_handshake_answered(ngx_http_atls_handshake_t *hs);

/*
 * Whether a ClientHello is no longer expected, neither the first nor the
 * second.
 */

ngx_uint_t ngx_http_atls_handshake_past_hello(ngx_http_atls_handshake_t *hs);

/*
 * Stores negotiated parameters and the client's identity in the session: on
 * early data, or else when the handshake is finished.  NGX_BUSY: no room in the
 * zone; NGX_ERROR.  Both are logged.
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
