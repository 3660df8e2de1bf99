
/*
 * Who the client is: its certificate or the identity of its pre-shared key, as
 * found in the handshake and kept with the session for all workers, and
 * whether that is enough for the location.
 *
 * What variables say of a certificate is what nginx says of one ($ssl_client_*)
 * and is made once, while there is an SSL object to ask.
 */


#ifndef _NGX_HTTP_ATLS_IDENTITY_H_INCLUDED_
#define _NGX_HTTP_ATLS_IDENTITY_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_peer.h"


typedef enum {
    NGX_HTTP_ATLS_IDENTITY_VERIFY = 0,         /* as $ssl_client_verify */
    NGX_HTTP_ATLS_IDENTITY_S_DN,
    NGX_HTTP_ATLS_IDENTITY_I_DN,
    NGX_HTTP_ATLS_IDENTITY_SERIAL,
    NGX_HTTP_ATLS_IDENTITY_FINGERPRINT,
    NGX_HTTP_ATLS_IDENTITY_V_START,
    NGX_HTTP_ATLS_IDENTITY_V_END,
    NGX_HTTP_ATLS_IDENTITY_CERT,               /* DER */
    NGX_HTTP_ATLS_IDENTITY_PSK,
    NGX_HTTP_ATLS_IDENTITY_FIELDS
} ngx_http_atls_identity_e;


/* All fields are empty for an anonymous client. */

typedef struct {
    ngx_str_t                   fields[NGX_HTTP_ATLS_IDENTITY_FIELDS];
} ngx_http_atls_identity_t;


/*
 * Names what a location's clients are let in by: atls_verify_client, the
 * depth, certificate authorities and revocation lists, and whether it is by
 * pre-shared keys only.  A session lives, and a ticket is good, as long as this
 * is what it was when it was made.  Sets alcf->policy, from alcf->ssl.
 */

ngx_int_t ngx_http_atls_identity_policy(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * The policy that lets the client of a handshake in, which is the pre-shared
 * key's, if one is in use.
 */

uint64_t ngx_http_atls_identity_peer_policy(ngx_http_atls_peer_t *peer);

/*
 * Keeps in a session of the caller's who the client of a connection's
 * handshake is.  psk: the identity of the pre-shared key in use, if any.
 * NGX_BUSY: there is no room for that; NGX_ERROR: the session must not be used.
 * Both are logged.
 */

ngx_int_t ngx_http_atls_identity_set(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_connection_t *c, ngx_str_t *psk);

/* What was kept; copied to the pool. */

ngx_int_t ngx_http_atls_identity_get(ngx_http_atls_session_t *session,
    ngx_http_atls_identity_t *identity, ngx_pool_t *pool);

/*
 * Is a session still what the configuration lets in?  It may have changed in a
 * reload, or a pre-shared key may have been taken away.
 */

ngx_uint_t ngx_http_atls_identity_valid(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);
ngx_uint_t ngx_http_atls_identity_view_valid(ngx_http_atls_view_t *view,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * Is the client let in?  NGX_OK, or the status that a request has to be
 * answered with, logged.
 */

ngx_int_t ngx_http_atls_identity_check(ngx_http_atls_loc_conf_t *alcf,
    ngx_http_atls_identity_t *identity, ngx_uint_t verify_error,
    ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_IDENTITY_H_INCLUDED_ */
