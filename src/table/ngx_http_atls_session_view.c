
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_owner.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_session_view.h"
#include "ngx_http_atls_lifetime.h"
#include "ngx_http_atls_table.h"


ngx_int_t
ngx_http_atls_session_view(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_view_t *view)
{
    ngx_int_t                 rc;
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    z = zone->data;
    rc = NGX_DECLINED;

    shard = ngx_http_atls_table_lock(z, id);

    session = ngx_http_atls_table_find(shard, id);

    if (session && session->established
        && !ngx_http_atls_session_is_busy(session))
    {
        rc = ngx_http_atls_session_copy_view(session, alcf, view);
    }

    ngx_http_atls_table_unlock(z, shard);

    return rc;
}


ngx_int_t
ngx_http_atls_session_copy_view(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_view_t *view)
{
    ngx_str_t  sni;

    if (session->sni_len > NGX_HTTP_ATLS_VIEW_LEN
        || (session->psk && session->identity.len > NGX_HTTP_ATLS_VIEW_LEN))
    {
        return NGX_DECLINED;
    }

    view->policy = session->policy;
    view->expired = ngx_http_atls_lifetime_expired(session, alcf);

    sni = ngx_http_atls_session_sni(session);

    view->sni.len = sni.len;
    view->sni.data = view->data;
    ngx_memcpy(view->sni.data, sni.data, sni.len);

    view->psk.len = 0;
    view->psk.data = view->data + NGX_HTTP_ATLS_VIEW_LEN;

    if (session->psk) {
        view->psk.len = session->identity.len;
        ngx_http_atls_session_load(&session->identity, view->psk.data);
    }

    return NGX_OK;
}
