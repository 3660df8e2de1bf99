
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Data of a session that the caller has not taken, to check whether it may
 * continue.
 */


#ifndef _NGX_HTTP_ATLS_SESSION_VIEW_H_INCLUDED_
#define _NGX_HTTP_ATLS_SESSION_VIEW_H_INCLUDED_


#include "ngx_http_atls.h"


#define NGX_HTTP_ATLS_VIEW_LEN  256            /* of a string */


typedef struct {
    uint64_t                    policy;
    ngx_str_t                   sni;
    ngx_str_t                   psk;           /* empty: no PSK */
    ngx_uint_t                  expired;

    u_char                      data[2 * NGX_HTTP_ATLS_VIEW_LEN];
} ngx_http_atls_view_t;


/* NGX_DECLINED: there is no such session, or its handshake is not finished. */

ngx_int_t ngx_http_atls_session_view(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_view_t *view);

/*
 * The same for a session, with the lock of its shard held.  NGX_DECLINED: data
 * are too long.
 */

ngx_int_t ngx_http_atls_session_copy_view(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_view_t *view);


#endif /* _NGX_HTTP_ATLS_SESSION_VIEW_H_INCLUDED_ */
