
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_table.h"
#include "ngx_http_atls_table_room.h"


ngx_int_t
ngx_http_atls_session_store(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_pieces_t *pieces,
    u_char *data, size_t len)
{
    size_t                  n;
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;
    ngx_http_atls_piece_t  *piece, *previous;

    if (len == 0 && pieces->first == NULL) {
        return NGX_OK;
    }

    z = zone->data;
    piece = NULL;

    shard = ngx_http_atls_table_lock(z, session->id);

    if (len) {
        piece = ngx_http_atls_table_pieces(z, shard, pieces->kind, len);

        if (piece == NULL) {
            ngx_http_atls_table_unlock(z, shard);
            return NGX_BUSY;
        }
    }

    previous = pieces->first;

    pieces->first = piece;
    pieces->len = 0;

    /* afterwards, the previous pieces do not belong to a session */

    ngx_memory_barrier();

    ngx_http_atls_table_free_pieces(shard, previous);

    ngx_http_atls_table_unlock(z, shard);

    /* the pieces belong to a session of the caller: no lock is needed */

    pieces->len = len;

    for (piece = pieces->first; piece; piece = piece->next) {
        n = ngx_min(len, sizeof(piece->data));
        ngx_memcpy(piece->data, data, n);
        data += n;
        len -= n;
    }

    return NGX_OK;
}


void
ngx_http_atls_session_load(ngx_http_atls_pieces_t *pieces, u_char *dst)
{
    size_t                  n, rest;
    ngx_http_atls_piece_t  *piece;

    rest = pieces->len;

    for (piece = pieces->first; piece; piece = piece->next) {
        n = ngx_min(rest, sizeof(piece->data));
        dst = ngx_cpymem(dst, piece->data, n);
        rest -= n;
    }
}


ngx_int_t
ngx_http_atls_session_name(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_str_t *sni)
{
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;
    ngx_http_atls_piece_t  *piece;

    z = zone->data;

    session->named = 1;

    if (sni->len <= NGX_HTTP_ATLS_SNI_LEN) {

        if (sni->len) {
            ngx_memcpy(session->sni.data, sni->data, sni->len);
        }

        session->sni_len = (uint16_t) sni->len;

        return NGX_OK;
    }

    shard = ngx_http_atls_table_lock(z, session->id);

    piece = ngx_http_atls_table_pieces(z, shard, ngx_http_atls_name, sni->len);

    if (piece) {
        session->sni.piece = piece;

        /* afterwards, the piece belongs to the session */

        ngx_memory_barrier();
        session->sni_len = (uint16_t) sni->len;
    }

    ngx_http_atls_table_unlock(z, shard);

    if (piece == NULL) {
        return NGX_BUSY;
    }

    ngx_memcpy(piece->data, sni->data, sni->len);

    return NGX_OK;
}


ngx_str_t
ngx_http_atls_session_sni(ngx_http_atls_session_t *session)
{
    ngx_str_t  sni;

    sni.len = session->sni_len;
    sni.data = (sni.len > NGX_HTTP_ATLS_SNI_LEN) ? session->sni.piece->data
                                                 : session->sni.data;

    return sni;
}
