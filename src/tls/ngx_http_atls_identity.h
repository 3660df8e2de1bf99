
/*
 * The client's identity: its certificate or the identity of its pre-shared key,
 * obtained in the handshake and stored with the session for all workers, and
 * the check whether it is accepted in the location.
 *
 * Variables of a certificate have the values of $ssl_client_*, and are
 * evaluated once, while there is an SSL object.
 */


#ifndef _NGX_HTTP_ATLS_IDENTITY_H_INCLUDED_
#define _NGX_HTTP_ATLS_IDENTITY_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_view.h"
#include "ngx_http_atls_peer.h"


typedef enum {
    NGX_HTTP_ATLS_IDENTITY_VERIFY = 0,         /* see $ssl_client_verify */
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
 * Sets alcf->policy from alcf->ssl: a hash of the client verification
 * parameters of the location: atls_verify_client, the depth, CA certificates
 * and revocation lists, and whether only pre-shared keys are accepted.
 * Sessions and tickets are valid as long as the policy is the one they were
 * created with.
 */

ngx_int_t ngx_http_atls_identity_policy(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * The policy by which the client of a handshake was accepted: that of the
 * pre-shared key, if one is used.
 */

uint64_t ngx_http_atls_identity_peer_policy(ngx_http_atls_peer_t *peer);

/*
 * Stores the identity of a connection's client in a session of the caller. psk:
 * the identity of the pre-shared key used, if any.  NGX_BUSY: no room;
 * NGX_ERROR: the session must not be used.  Both are logged.
 */

ngx_int_t ngx_http_atls_identity_set(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_connection_t *c, ngx_str_t *psk);

/* The stored identity, copied to the pool. */

ngx_int_t ngx_http_atls_identity_get(ngx_http_atls_session_t *session,
    ngx_http_atls_identity_t *identity, ngx_pool_t *pool);

/*
 * The format in which identities are stored.  The size is 0 if a field is too
 * long.  The fields of an identity that is read point into the bytes.
 */

size_t ngx_http_atls_identity_size(ngx_http_atls_identity_t *identity);
void ngx_http_atls_identity_write(ngx_http_atls_identity_t *identity,
    u_char *p);
void ngx_http_atls_identity_read(ngx_http_atls_identity_t *identity,
    u_char *p);

/*
 * The policy by which a configuration accepts a client: that of its pre-shared
 * key, 0 if there is none, or that of certificates.
 */

uint64_t ngx_http_atls_identity_accepted(ngx_http_atls_identity_t *identity,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * Whether a session is still accepted by the configuration, which may have been
 * changed by a reload, or a pre-shared key removed.
 */

ngx_uint_t ngx_http_atls_identity_valid(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);
ngx_uint_t ngx_http_atls_identity_view_valid(ngx_http_atls_view_t *view,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * Checks the client.  Returns NGX_OK, or the status for its requests, logged.
 */

ngx_int_t ngx_http_atls_identity_check(ngx_http_atls_loc_conf_t *alcf,
    ngx_http_atls_identity_t *identity, ngx_uint_t verify_error,
    ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_IDENTITY_H_INCLUDED_ */
