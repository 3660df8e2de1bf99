
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The tag of an id, by which a zone recognizes its ids.  It cannot be verified
 * without the key of the zone.
 */


#ifndef _NGX_HTTP_ATLS_SESSION_TAG_H_INCLUDED_
#define _NGX_HTTP_ATLS_SESSION_TAG_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"


ngx_int_t ngx_http_atls_session_tag(ngx_shm_zone_t *zone, u_char *id,
    u_char *tag, ngx_log_t *log);

/*
 * With a store, the tag is the number of the machine, encrypted: this is what
 * it is combined with (XOR), for a key.
 */

ngx_int_t ngx_http_atls_session_mask(u_char *key, u_char *id, u_char *mask,
    ngx_log_t *log);

/*
 * Logs a POST with an unknown id, followed by a tag.  If the tag is of another
 * zone, of another master process or machine, or created before a restart,
 * counts it and returns ngx_http_atls_take_foreign, otherwise
 * ngx_http_atls_take_unknown.
 */

ngx_http_atls_take_e ngx_http_atls_session_unknown(ngx_shm_zone_t *zone,
    u_char *id, ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_SESSION_TAG_H_INCLUDED_ */
