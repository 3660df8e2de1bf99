
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_export.h"
#include "trl_message.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_owner.h"
#include "ngx_http_atls_lifetime.h"
#include "ngx_http_atls_snapshot.h"
#include "ngx_http_atls_table.h"


typedef struct {
    size_t                    size;            /* of this, and the pieces */
    ngx_http_atls_session_t   session;
    ngx_http_atls_piece_t     pieces[1];
} ngx_http_atls_snapshot_t;


static ngx_http_atls_take_e ngx_http_atls_snapshot_find(
    ngx_http_atls_shard_t *shard, u_char *id, ngx_http_atls_loc_conf_t *alcf,
    ngx_http_atls_session_t **session);
static ngx_uint_t ngx_http_atls_snapshot_ended(
    ngx_http_atls_session_t *session, ngx_http_atls_loc_conf_t *home);
static size_t ngx_http_atls_snapshot_size(ngx_http_atls_session_t *session);
static void ngx_http_atls_snapshot_copy(ngx_http_atls_snapshot_t *to,
    ngx_http_atls_session_t *session);
static void ngx_http_atls_snapshot_wipe(void *data);


ngx_http_atls_take_e
ngx_http_atls_snapshot(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_loc_conf_t **alcf, ngx_pool_t *pool,
    ngx_http_atls_session_t **sessionp)
{
    size_t                     size;
    ngx_http_atls_zone_t      *z;
    ngx_http_atls_take_e       rc;
    ngx_pool_cleanup_t        *cln;
    ngx_http_atls_shard_t     *shard;
    ngx_http_atls_session_t   *session;
    ngx_http_atls_loc_conf_t  *home;
    ngx_http_atls_snapshot_t  *snapshot;

    z = zone->data;
    *sessionp = NULL;
    snapshot = NULL;

    /* memory is not allocated with the lock held; most have no pieces */

    size = sizeof(ngx_http_atls_snapshot_t);
    home = NULL;

    for ( ;; ) {
        cln = ngx_pool_cleanup_add(pool, size);
        if (cln == NULL) {
            return ngx_http_atls_take_ok;
        }

        snapshot = cln->data;
        snapshot->size = size;

        cln->handler = ngx_http_atls_snapshot_wipe;

        shard = ngx_http_atls_table_lock(z, id);

        rc = ngx_http_atls_snapshot_find(shard, id, *alcf, &session);

        if (rc == ngx_http_atls_take_ok) {
            home = ngx_http_atls_endpoint_home(*alcf, session->endpoint);
            size = ngx_http_atls_snapshot_size(session);

            if (size <= snapshot->size) {
                ngx_http_atls_snapshot_copy(snapshot, session);
                *sessionp = &snapshot->session;
            }
        }

        ngx_http_atls_table_unlock(z, shard);

        if (rc != ngx_http_atls_take_ok) {
            return rc;
        }

        if (*sessionp) {
            *alcf = home;
            return rc;
        }
    }
}


/* A session is not removed here: the sweep does it. */

static ngx_http_atls_take_e
ngx_http_atls_snapshot_find(ngx_http_atls_shard_t *shard, u_char *id,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_session_t **sessionp)
{
    ngx_http_atls_session_t   *session;
    ngx_http_atls_loc_conf_t  *home;

    session = ngx_http_atls_table_find(shard, id);

    if (session == NULL) {
        return ngx_http_atls_table_is_lost(shard, id)
               ? ngx_http_atls_take_lost : ngx_http_atls_take_unknown;
    }

    home = ngx_http_atls_endpoint_home(alcf, session->endpoint);

    if (home == NULL) {
        return ngx_http_atls_take_elsewhere;
    }

    if (ngx_http_atls_session_owner_dead(session)) {
        return ngx_http_atls_take_lost;
    }

    if (!session->established) {
        return ngx_http_atls_take_handshake;
    }

    if (ngx_http_atls_snapshot_ended(session, home)) {
        return ngx_http_atls_take_unknown;
    }

    *sessionp = session;

    return ngx_http_atls_take_ok;
}


/*
 * If a session is busy, it is not idle, and its times are those of its last
 * POST.
 */

static ngx_uint_t
ngx_http_atls_snapshot_ended(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *home)
{
    return session->end != ngx_http_atls_end_none
           || session->leaving
           || (ngx_http_atls_is_owned(session->kind)
               ? ngx_http_atls_lifetime_over(session, home)
               : ngx_http_atls_lifetime_expired(session, home));
}


/* The identity and the server name do not change in an established session. */

static size_t
ngx_http_atls_snapshot_size(ngx_http_atls_session_t *session)
{
    ngx_uint_t  n;

    n = (session->identity.len + NGX_HTTP_ATLS_PIECE - 1) / NGX_HTTP_ATLS_PIECE;

    if (session->sni_len > NGX_HTTP_ATLS_SNI_LEN) {
        n++;
    }

    return offsetof(ngx_http_atls_snapshot_t, pieces)
           + n * sizeof(ngx_http_atls_piece_t);
}


static void
ngx_http_atls_snapshot_copy(ngx_http_atls_snapshot_t *to,
    ngx_http_atls_session_t *session)
{
    ngx_http_atls_piece_t    *piece, *from, **next;
    ngx_http_atls_session_t  *copy;

    copy = &to->session;
    piece = to->pieces;

    *copy = *session;

    /* neither keys nor what is in progress; with DTLS, the keys are needed */

    if (!ngx_http_atls_session_shared(session)) {
        trl_export_copy(&copy->state, &session->state);
    }

    ngx_memzero(&copy->queue, sizeof(ngx_queue_t));
    ngx_memzero(&copy->pending, sizeof(ngx_http_atls_pieces_t));
    ngx_memzero(&copy->kept, sizeof(ngx_http_atls_pieces_t));
    copy->inner = NULL;

    next = &copy->identity.first;

    for (from = session->identity.first; from; from = from->next) {
        *piece = *from;
        *next = piece;
        next = &piece->next;
        piece++;
    }

    if (session->sni_len > NGX_HTTP_ATLS_SNI_LEN) {
        *piece = *session->sni.piece;
        copy->sni.piece = piece;
    }
}


static void
ngx_http_atls_snapshot_wipe(void *data)
{
    ngx_http_atls_snapshot_t  *snapshot = data;

    ngx_explicit_memzero(snapshot, snapshot->size);
}


/*
 * The owner of a busy session changes it without the lock, except for the
 * numbers.  The session may have ended since it was copied: the client decides
 * when it sends the first record.
 */

ngx_int_t
ngx_http_atls_snapshot_mark(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *copy, ngx_http_atls_loc_conf_t *alcf,
    uint64_t number, time_t *age)
{
    ngx_int_t                 rc;
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    z = zone->data;

    shard = ngx_http_atls_table_lock(z, copy->id);

    session = ngx_http_atls_table_find(shard, copy->id);

    if (session == NULL || !session->established
        || ngx_http_atls_snapshot_ended(session, alcf))
    {
        rc = NGX_ABORT;

    } else if (trl_window_mark(&session->u.window, number) == -1) {
        rc = NGX_DECLINED;

    } else {
        rc = NGX_OK;

        copy->requests = session->requests;

        if (!ngx_http_atls_session_is_busy(session)) {
            session->requests++;
            session->used = ngx_http_atls_clock();

            if (age) {
                *age = ngx_http_atls_lifetime_cookie(session, alcf,
                                                     session->used, 0);
            }

            ngx_http_atls_table_move(shard, session, session->kind);
        }
    }

    ngx_http_atls_table_unlock(z, shard);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls %08xD number %uL: %i",
                   ngx_http_atls_label(copy->id, ngx_cycle->log), number, rc);

    return rc;
}


void
ngx_http_atls_snapshot_end(ngx_shm_zone_t *zone, ngx_http_atls_session_t *copy,
    uint64_t in, uint64_t out)
{
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    shard = ngx_http_atls_table_lock(zone->data, copy->id);

    session = ngx_http_atls_table_find(shard, copy->id);

    if (session && session->established
        && !ngx_http_atls_session_is_busy(session))
    {
        session->used = ngx_http_atls_clock();
        session->bytes_in += in;
        session->bytes_out += out;

        ngx_http_atls_table_move(shard, session, session->kind);
    }

    ngx_http_atls_table_unlock(zone->data, shard);
}
