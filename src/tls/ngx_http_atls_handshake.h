
/*
 * A handshake in progress in this worker, by OpenSSL with memory BIOs, over any
 * number of POSTs.  When it is finished, the session is established and the
 * handshake is freed.
 *
 * A handshake owns its SSL, memory pool and timer; when the timer fires, the
 * handshake and its session are removed.  Its input and output are in
 * ngx_http_atls_handshake_io.h.
 */


#ifndef _NGX_HTTP_ATLS_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_ATLS_HANDSHAKE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_sni.h"


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

/* Whether the protocol is DTLS. */

ngx_uint_t ngx_http_atls_handshake_dtls(ngx_http_atls_handshake_t *hs);

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
