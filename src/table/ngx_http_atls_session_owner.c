
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_owner.h"
#include "ngx_http_atls_table.h"


ngx_uint_t
ngx_http_atls_session_is_busy(ngx_http_atls_session_t *session)
{
    return (session->kind == ngx_http_atls_handshaking
            || session->kind == ngx_http_atls_busy)
           && session->owner;
}


ngx_uint_t
ngx_http_atls_session_owner_dead(ngx_http_atls_session_t *session)
{
    ngx_http_atls_owner_t  owner;

    if (!ngx_http_atls_is_owned(session->kind) || session->owner == 0) {
        return 0;
    }

    owner.id = session->owner;
    owner.slot = session->slot;

    return !ngx_http_atls_worker_alive(&owner);
}


void
ngx_http_atls_session_set_owner(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind)
{
    session->owner = ngx_http_atls_process.owner.id;
    session->slot = (uint16_t) ngx_http_atls_process.owner.slot;

    ngx_http_atls_table_move(shard, session, kind);
}
