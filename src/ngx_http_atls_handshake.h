
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


/*
 * Begins a handshake for a session just made.  NULL on errors, logged.  The
 * log is the worker's: a handshake outlives the connection of its POST.
 */

ngx_http_atls_handshake_t *ngx_http_atls_handshake_create(
    ngx_http_atls_main_conf_t *amcf, ngx_http_atls_loc_conf_t *alcf,
    ngx_http_atls_session_t *session, ngx_log_t *log);

/* The number in flight in this worker. */

ngx_uint_t ngx_http_atls_handshakes(void);

/*
 * The POST that a handshake is served by now, or NULL.  Called when a POST
 * takes or leaves the session.
 */

void ngx_http_atls_handshake_attach(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_post_t *post);

/*
 * Feeds what there is of the POST's body, one record at a time so that no
 * byte after the handshake gets into OpenSSL.  NGX_OK: finished; NGX_DECLINED:
 * failed, an alert may be in the output; else as the body's reading.
 */

ngx_int_t ngx_http_atls_handshake_feed(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_body_t *body, ngx_log_t *log);

/* The output so far, in OpenSSL's memory, until it is said to be sent. */

ngx_str_t ngx_http_atls_handshake_output(ngx_http_atls_handshake_t *hs);
void ngx_http_atls_handshake_sent(ngx_http_atls_handshake_t *hs);

/* Freezes a finished handshake into its session, then frees the handshake. */

ngx_int_t ngx_http_atls_handshake_freeze(ngx_http_atls_handshake_t *hs,
    ngx_http_atls_session_t *session, ngx_log_t *log);

/* Frees a handshake, not its session. */

void ngx_http_atls_handshake_free(ngx_http_atls_handshake_t *hs);


#endif /* _NGX_HTTP_ATLS_HANDSHAKE_H_INCLUDED_ */
