
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Whose a session is.  For src/table only; the functions are called with the
 * lock of the shard held.
 */


#ifndef _NGX_HTTP_ATLS_SESSION_OWNER_H_INCLUDED_
#define _NGX_HTTP_ATLS_SESSION_OWNER_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_table.h"


/* Whether only the owner can use the session. */

ngx_uint_t ngx_http_atls_session_is_busy(ngx_http_atls_session_t *session);

/* Whether the owner has exited: its sessions may not be removed yet. */

ngx_uint_t ngx_http_atls_session_owner_dead(ngx_http_atls_session_t *session);

/* Makes this process the owner, and changes the kind of the session. */

void ngx_http_atls_session_set_owner(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind);


#endif /* _NGX_HTTP_ATLS_SESSION_OWNER_H_INCLUDED_ */
