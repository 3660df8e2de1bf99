
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Idle sessions as bytes, to be continued by another machine: no pointers, and
 * times relative to the moment.  The format depends on the architecture and has
 * a version.
 */


#ifndef _NGX_HTTP_ATLS_PORTABLE_H_INCLUDED_
#define _NGX_HTTP_ATLS_PORTABLE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"


/*
 * Writes an established session of the caller, which has no inner connection.
 * before: room to leave at the beginning; after: at the end.  NGX_ERROR: no
 * memory.
 */

ngx_int_t ngx_http_atls_portable_write(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_pool_t *pool, ngx_str_t *data);

/*
 * Removes a session that was written, since it is elsewhere.  NGX_DECLINED: it
 * was read here in the meantime, and is idle now.
 */

ngx_int_t ngx_http_atls_portable_remove(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_ending_e reason,
    ngx_log_t *log);

/*
 * How long the session may be idle, and exist, from now on; in milliseconds.
 * NGX_DECLINED: it has expired.
 */

ngx_int_t ngx_http_atls_portable_times(ngx_http_atls_session_t *session,
    int64_t *idle, int64_t *lifetime);

/*
 * Adds a session to the table, which was written "passed" milliseconds ago.  If
 * it was written by another process of this machine, which is still about to
 * remove it, it is not removed.  NGX_DECLINED: the data are of another version,
 * or invalid, or there is no such endpoint, or the session has expired;
 * NGX_BUSY: no room.
 */

ngx_int_t ngx_http_atls_portable_read(ngx_shm_zone_t *zone, u_char *id,
    ngx_str_t *data, int64_t passed, ngx_log_t *log);

/*
 * Takes an idle session, the least recently used one of a shard, or the one
 * with this id; NULL: there is none.  The shards take turns.  The third
 * function counts established sessions: idle ones, those that this process has
 * taken, and those that any process has taken.
 */

ngx_http_atls_session_t *ngx_http_atls_portable_take(ngx_shm_zone_t *zone);
ngx_http_atls_session_t *ngx_http_atls_portable_take_id(ngx_shm_zone_t *zone,
    u_char *id);
void ngx_http_atls_portable_count(ngx_shm_zone_t *zone, ngx_uint_t *idle,
    ngx_uint_t *own, ngx_uint_t *busy);

/*
 * Where a session is.  NGX_OK: it exists; *owner is the worker that must serve
 * it, or this one.
 */

ngx_int_t ngx_http_atls_portable_owner(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_owner_t *owner);


#endif /* _NGX_HTTP_ATLS_PORTABLE_H_INCLUDED_ */
