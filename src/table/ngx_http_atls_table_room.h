
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Room in the zone, for src/table only: entries are allocated, and if there are
 * none, sessions or responses are evicted for them.
 *
 * The functions are called with the lock of the shard held.  They release it
 * for a while to evict in any shard, since only one is locked at a time.
 */


#ifndef _NGX_HTTP_ATLS_TABLE_ROOM_H_INCLUDED_
#define _NGX_HTTP_ATLS_TABLE_ROOM_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_table.h"


/*
 * Allocates a raw entry for a session of a kind, zeroed except for its id.
 * NULL: there is no room, or a session with the id exists.
 */

ngx_http_atls_session_t *ngx_http_atls_table_alloc(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, u_char *id, ngx_http_atls_kind_e kind);

/* Counts a session of the caller as established.  NGX_BUSY: no room. */

ngx_int_t ngx_http_atls_table_establish(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, ngx_http_atls_session_t *session);

/*
 * Allocates a list of pieces for len bytes; NULL: no room.  The list must be
 * assigned to a session before the lock is released.
 */

ngx_http_atls_piece_t *ngx_http_atls_table_pieces(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, ngx_http_atls_kind_e kind, size_t len);


#endif /* _NGX_HTTP_ATLS_TABLE_ROOM_H_INCLUDED_ */
