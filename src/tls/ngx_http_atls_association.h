
/*
 * The identity of an association: what is needed to accept its pre-shared key
 * later, sealed, so that no state is kept for it.
 *
 *     version, 1 byte || name of the key, 8 || id, 16 || ciphertext || tag, 16
 *
 * It is sent as text, in base64url.  The ciphertext is that of AES-256-GCM; the
 * bytes before it are the additional data.  Its key is derived from that with
 * the name and the id, which is random, so the nonce is constant.
 */


#ifndef _NGX_HTTP_ATLS_ASSOCIATION_H_INCLUDED_
#define _NGX_HTTP_ATLS_ASSOCIATION_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_associations.h"
#include "ngx_http_atls_identity.h"


#define NGX_HTTP_ATLS_ASSOCIATION_ID      16
#define NGX_HTTP_ATLS_ASSOCIATION_KEY     32
#define NGX_HTTP_ATLS_ASSOCIATION_SERVER  16


typedef struct {
    u_char                             id[NGX_HTTP_ATLS_ASSOCIATION_ID];
    u_char                             key[NGX_HTTP_ATLS_ASSOCIATION_KEY];
    u_char                             server[NGX_HTTP_ATLS_ASSOCIATION_SERVER];
                                                   /* hash of its name */
    uint64_t                           policy;     /* see identity.h */
    time_t                             expires;    /* time of day */
    ngx_http_atls_association_once_t   once;
    ngx_uint_t                         verify_error;
    ngx_http_atls_identity_t           identity;   /* of the client */
} ngx_http_atls_association_t;


/*
 * Sets alcf->association_keys, derived from the files of
 * atls_session_ticket_key, if any.
 */

ngx_int_t ngx_http_atls_association_conf(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *alcf);

/* Sets the hash of a server name, which may be empty. */

ngx_int_t ngx_http_atls_association_name(
    ngx_http_atls_association_t *association, ngx_str_t *name);

/*
 * Seals an association for a lifetime, with the keys of the configuration or
 * those of the zone.  NGX_DECLINED: the identity of the client is too long;
 * NGX_ERROR, logged.
 */

ngx_int_t ngx_http_atls_association_seal(
    ngx_http_atls_association_t *association, time_t lifetime,
    ngx_http_atls_loc_conf_t *alcf, ngx_shm_zone_t *zone, ngx_str_t *text,
    ngx_pool_t *pool);

/*
 * Opens an association.  NGX_DECLINED: it is none, but a ticket, for example;
 * NGX_ERROR: its key is unknown, it is not authentic, or there was another
 * error.  The structure contains its key afterwards, which the caller must
 * wipe, and points to the pool.
 */

ngx_int_t ngx_http_atls_association_open(
    ngx_http_atls_association_t *association, ngx_http_atls_loc_conf_t *alcf,
    ngx_shm_zone_t *zone, ngx_str_t *text, ngx_pool_t *pool);


#endif /* _NGX_HTTP_ATLS_ASSOCIATION_H_INCLUDED_ */
