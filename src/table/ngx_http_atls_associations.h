
/*
 * The zone of associations: their keys, rotated automatically, for servers
 * without key files; and which ones were used, since they are accepted once.
 */


#ifndef _NGX_HTTP_ATLS_ASSOCIATIONS_H_INCLUDED_
#define _NGX_HTTP_ATLS_ASSOCIATIONS_H_INCLUDED_


#include "ngx_http_atls.h"


#define NGX_HTTP_ATLS_ASSOCIATION_NAME_LEN    8
#define NGX_HTTP_ATLS_ASSOCIATION_SECRET_LEN  32


typedef struct {
    u_char                   name[NGX_HTTP_ATLS_ASSOCIATION_NAME_LEN];
    u_char                   secret[NGX_HTTP_ATLS_ASSOCIATION_SECRET_LEN];
    time_t                   expire;    /* of its last association, by
                                           ngx_http_atls_clock() */
} ngx_http_atls_association_key_t;


/* An association that is accepted once; a zone of 0: any number of times. */

typedef struct {
    uint64_t                 zone;      /* that has assigned the number */
    uint64_t                 number;
} ngx_http_atls_association_once_t;


/* Sets amcf->associations, once for each configuration. */

ngx_int_t ngx_http_atls_associations_add(ngx_conf_t *cf);

/*
 * Copies the key for an association of that lifetime, in seconds; or the key
 * with that name, NGX_DECLINED: there is none.  The copy must be wiped.
 */

ngx_int_t ngx_http_atls_associations_key(ngx_shm_zone_t *zone, time_t lifetime,
    ngx_http_atls_association_key_t *key, ngx_log_t *log);
ngx_int_t ngx_http_atls_associations_find(ngx_shm_zone_t *zone,
    const u_char *name, ngx_http_atls_association_key_t *key);

/* Assigns a number. */

void ngx_http_atls_associations_issue(ngx_shm_zone_t *zone,
    ngx_http_atls_association_once_t *once);

/*
 * Whether an association was not used yet, according to this zone; use: it is
 * used now, so this is true only once.
 */

ngx_uint_t ngx_http_atls_associations_unused(ngx_shm_zone_t *zone,
    ngx_http_atls_association_once_t *once, ngx_uint_t use);


#endif /* _NGX_HTTP_ATLS_ASSOCIATIONS_H_INCLUDED_ */
