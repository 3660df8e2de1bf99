
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Data of a session that are stored in pieces: a partial record, the identity
 * of the client, a long server name.  They belong to the owner of the session,
 * which uses them without the lock; it is acquired to allocate and to free
 * pieces.
 */


#ifndef _NGX_HTTP_ATLS_SESSION_PIECES_H_INCLUDED_
#define _NGX_HTTP_ATLS_SESSION_PIECES_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"


/*
 * Stores a copy of the bytes in the pieces of a session of the caller; the
 * previous contents are wiped.  If len is 0, pieces are freed.  NGX_BUSY: no
 * room in the zone; the pieces are unchanged then.
 */

ngx_int_t ngx_http_atls_session_store(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_pieces_t *pieces,
    u_char *data, size_t len);

/* Copies the stored bytes, pieces->len of them. */

void ngx_http_atls_session_load(ngx_http_atls_pieces_t *pieces, u_char *dst);

/*
 * Stores the server name sent by the client.  NGX_BUSY: no room for it.  The
 * second function gets it, in the memory of the session.
 */

ngx_int_t ngx_http_atls_session_name(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_str_t *sni);
ngx_str_t ngx_http_atls_session_sni(ngx_http_atls_session_t *session);


#endif /* _NGX_HTTP_ATLS_SESSION_PIECES_H_INCLUDED_ */
