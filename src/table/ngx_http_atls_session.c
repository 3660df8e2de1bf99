
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_session_owner.h"
#include "ngx_http_atls_lifetime.h"
#include "ngx_http_atls_table.h"
#include "ngx_http_atls_table_room.h"

#include <openssl/rand.h>


static ngx_int_t ngx_http_atls_session_make_busy(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_uint_t established);
static ngx_uint_t ngx_http_atls_session_expire_locked(
    ngx_http_atls_shard_t *shard, ngx_uint_t n);
static ngx_http_atls_loc_conf_t *ngx_http_atls_session_conf(
    ngx_http_atls_session_t *session);
static ngx_http_atls_ending_e ngx_http_atls_session_expiry(
    ngx_http_atls_session_t *session, ngx_http_atls_loc_conf_t *alcf);
static ngx_uint_t ngx_http_atls_session_expired(
    ngx_http_atls_session_t *session, ngx_http_atls_loc_conf_t *alcf);


ngx_http_atls_session_t *
ngx_http_atls_session_create(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_loc_conf_t *alcf, ngx_log_t *log)
{
    u_char                    id[NGX_HTTP_ATLS_ID_LEN];
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    z = amcf->zone->data;

    if (RAND_bytes(id, NGX_HTTP_ATLS_ID_LEN) != 1) {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "RAND_bytes() failed");
        return NULL;
    }

    shard = ngx_http_atls_table_lock(z, id);

    ngx_http_atls_session_expire_locked(shard, 2);

    session = ngx_http_atls_table_alloc(z, shard, id,
                                        ngx_http_atls_handshaking);

    if (session) {
        session->endpoint = alcf->endpoint;

        session->created = ngx_http_atls_clock();
        session->used = session->created;
        session->timeout = (int32_t) ngx_min(alcf->session_timeout,
                                             (time_t) NGX_MAX_INT32_VALUE);
        session->whole = (int32_t) ngx_min(alcf->session_lifetime,
                                           (time_t) NGX_MAX_INT32_VALUE);
        session->lifetime = session->whole;

        session->owner = ngx_http_atls_process.owner.id;
        session->slot = (uint16_t) ngx_http_atls_process.owner.slot;

        session->pending.kind = ngx_http_atls_record;
        session->identity.kind = ngx_http_atls_identity;
        session->kept.kind = ngx_http_atls_kept;

        ngx_http_atls_table_add(shard, session, ngx_http_atls_handshaking);
    }

    ngx_http_atls_table_unlock(z, shard);

    if (session == NULL) {
        ngx_http_atls_session_full(amcf->zone, "is full of sessions in use",
                                   log);
        return NULL;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls %08xD create, timeout:%D, lifetime:%D",
                   ngx_http_atls_label(id, log), session->timeout,
                   session->lifetime);

    return session;
}


void
ngx_http_atls_session_full(ngx_shm_zone_t *zone, const char *what,
    ngx_log_t *log)
{
    ngx_uint_t             logged;
    ngx_http_atls_zone_t  *z;

    z = zone->data;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls zone \"%V\" %s", &zone->shm.name, what);

    ngx_shmtx_lock(&z->shpool->mutex);

    logged = (ngx_http_atls_clock_since(z->table->full) < 1);

    if (!logged) {
        z->table->full = ngx_http_atls_clock();
    }

    ngx_shmtx_unlock(&z->shpool->mutex);

    if (!logged) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "atls_zone \"%V\" %s", &zone->shm.name, what);
    }
}


ngx_uint_t
ngx_http_atls_session_expire(ngx_shm_zone_t *zone, ngx_uint_t number,
    ngx_uint_t n)
{
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;

    z = zone->data;

    shard = ngx_http_atls_table_lock_shard(z, number);
    n = ngx_http_atls_session_expire_locked(shard, n);
    ngx_http_atls_table_unlock(z, shard);

    return n;
}


ngx_http_atls_take_e
ngx_http_atls_session_take(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_loc_conf_t **alcf, ngx_http_atls_session_t **sessionp,
    ngx_http_atls_owner_t *owner)
{
    ngx_http_atls_zone_t      *z;
    ngx_http_atls_take_e       rc;
    ngx_http_atls_shard_t     *shard;
    ngx_http_atls_session_t   *session;
    ngx_http_atls_loc_conf_t  *home;

    z = zone->data;

    shard = ngx_http_atls_table_lock(z, id);

    session = ngx_http_atls_table_find(shard, id);

    home = session ? ngx_http_atls_endpoint_home(*alcf, session->endpoint)
                   : NULL;

    if (session == NULL) {
        rc = ngx_http_atls_table_is_lost(shard, id)
             ? ngx_http_atls_take_lost : ngx_http_atls_take_unknown;

    } else if (ngx_http_atls_session_owner_dead(session)) {
        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "atls %08xD lost, worker %uD exited",
                       ngx_http_atls_label(id, ngx_cycle->log),
                       session->owner);

        ngx_http_atls_table_lose(shard, session);
        rc = ngx_http_atls_take_lost;

    } else if (home == NULL) {
        rc = ngx_http_atls_take_elsewhere;

    } else if (ngx_http_atls_session_shared(session) && !session->owner
               && !ngx_http_atls_session_expired(session, home))
    {
        rc = ngx_http_atls_take_shared;

    } else if (ngx_http_atls_session_is_busy(session)) {
        rc = ngx_http_atls_take_busy;

    } else if ((!session->established || session->inner)
               && session->owner != ngx_http_atls_process.owner.id)
    {
        owner->id = session->owner;
        owner->slot = session->slot;
        rc = session->established ? ngx_http_atls_take_inner
                                  : ngx_http_atls_take_handshake;

    } else if (session->established && session->inner == NULL
               && ngx_http_atls_session_expired(session, home))
    {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "atls %08xD expired, not taken",
                       ngx_http_atls_label(id, ngx_cycle->log));

        /* responses in progress are completed */

        if (session->kind != ngx_http_atls_busy) {
            ngx_http_atls_table_remove(shard, session,
                                       ngx_http_atls_session_expiry(session,
                                                                    home));
        }

        rc = ngx_http_atls_take_unknown;

    } else {
        ngx_http_atls_session_set_owner(shard, session,
                                        session->established
                                        ? ngx_http_atls_busy
                                        : ngx_http_atls_handshaking);
        *sessionp = session;
        rc = ngx_http_atls_take_ok;
    }

    ngx_http_atls_table_unlock(z, shard);

    if (home) {
        *alcf = home;
    }

    return rc;
}


ngx_int_t
ngx_http_atls_session_serve(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session)
{
    return ngx_http_atls_session_make_busy(zone, session, 0);
}


ngx_int_t
ngx_http_atls_session_establish(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_log_t *log)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_session_make_busy(zone, session, 1);

    if (rc != NGX_OK) {
        ngx_http_atls_session_full(zone, "is full of sessions in use", log);
        return rc;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls %08xD establish, lifetime:%D",
                   ngx_http_atls_label(session->id, log), session->lifetime);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_session_make_busy(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_uint_t established)
{
    ngx_int_t               rc;
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;

    z = zone->data;

    shard = ngx_http_atls_table_lock(z, session->id);

    rc = ngx_http_atls_table_establish(z, shard, session);

    if (rc == NGX_OK) {

        if (established) {
            session->established = 1;
            session->used = ngx_http_atls_clock();
        }

        ngx_http_atls_table_move(shard, session, ngx_http_atls_busy);
    }

    ngx_http_atls_table_unlock(z, shard);

    return rc;
}


void
ngx_http_atls_session_end(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_ending_e reason)
{
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    shard = ngx_http_atls_table_lock(zone->data, id);

    session = ngx_http_atls_table_find(shard, id);

    if (session && !ngx_http_atls_session_is_busy(session)) {
        session->end = ngx_max(session->end, ngx_http_atls_end_closed);
        session->reason = reason;

        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "atls %08xD close session after request",
                       ngx_http_atls_label(id, ngx_cycle->log));
    }

    ngx_http_atls_table_unlock(zone->data, shard);
}


void
ngx_http_atls_session_put(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_response_t *response)
{
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;

    z = zone->data;

    shard = ngx_http_atls_table_lock(z, session->id);

    /* before that, the session is lost if this process dies */

    session->leaving = 0;
    session->returned = 0;

    if (response) {
        ngx_http_atls_session_keep(z, shard, session, response);
    }

    /* the lock may have been released: until now, others had to wait */

    if (ngx_http_atls_session_shared(session)) {
        session->owner = 0;
    }

    ngx_http_atls_table_move(shard, session,
                             ngx_http_atls_session_kind(session));

    ngx_http_atls_table_unlock(z, shard);
}


void
ngx_http_atls_session_abandon(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_inner_t *inner, ngx_http_atls_end_e end,
    ngx_uint_t overtaken)
{
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    z = zone->data;

    shard = ngx_http_atls_table_lock(z, id);

    session = ngx_http_atls_table_find(shard, id);

    if (session && session->owner == ngx_http_atls_process.owner.id
        && session->inner == inner)
    {
        session->inner = NULL;
        session->end = ngx_max(session->end, end);
        session->overtaken = overtaken;

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "atls %08xD close session after next POST, end:%d",
                       ngx_http_atls_label(id, ngx_cycle->log), (int) end);

        /* if busy, the POST has not resumed the connection yet */

        if (session->established && !ngx_http_atls_session_is_busy(session)) {
            ngx_http_atls_table_move(shard, session,
                                     ngx_http_atls_session_kind(session));
        }
    }

    ngx_http_atls_table_unlock(z, shard);
}


void
ngx_http_atls_session_remove(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_ending_e reason,
    ngx_log_t *log)
{
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;

    z = zone->data;

    shard = ngx_http_atls_table_lock(z, session->id);
    ngx_http_atls_table_remove(shard, session, reason);
    z->log = log;
    ngx_http_atls_table_unlock(z, shard);
}


ngx_http_atls_inner_t *
ngx_http_atls_session_forget(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_handshake_t *handshake, ngx_http_atls_ending_e reason)
{
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_inner_t    *inner;
    ngx_http_atls_session_t  *session;

    z = zone->data;
    inner = NULL;

    shard = ngx_http_atls_table_lock(z, id);

    session = ngx_http_atls_table_find(shard, id);

    if (session && session->kind == ngx_http_atls_half_open
        && session->owner == ngx_http_atls_process.owner.id
        && session->u.handshake == handshake)
    {
        inner = session->inner;
        ngx_http_atls_table_remove(shard, session, reason);
    }

    ngx_http_atls_table_unlock(z, shard);

    return inner;
}


/* The sums of all shards: the numbers of each one match. */

void
ngx_http_atls_session_stat(ngx_shm_zone_t *zone, ngx_http_atls_stat_t *stat)
{
    ngx_uint_t              i, n;
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;
    ngx_http_atls_table_t  *table;

    z = zone->data;
    table = z->table;

    ngx_memzero(stat, sizeof(ngx_http_atls_stat_t));

    for (n = 0; n < table->nshards; n++) {
        shard = ngx_http_atls_table_lock_shard(z, n);

        for (i = 0; i < ngx_http_atls_kinds; i++) {
            stat->count[i] += shard->count[i];
            stat->evicted[i] += shard->evicted[i];
        }

        for (i = 0; i < ngx_http_atls_endings; i++) {
            stat->ended[i] += shard->ended[i];
        }

        stat->started += shard->started;

        ngx_http_atls_table_unlock(z, shard);
    }

    stat->entries = table->entries.n;
    stat->nfree = table->entries.nfree;
    stat->entry_size = table->entry_size;
    stat->touched = table->entries.touched;
    stat->handshakes = table->entries.half_open;
}


/* the following functions are called with the lock held */


/* Half-open sessions expire by a timer of their owner. */

static ngx_uint_t
ngx_http_atls_session_expire_locked(ngx_http_atls_shard_t *shard, ngx_uint_t n)
{
    ngx_uint_t                 i, kind, most;
    ngx_http_atls_session_t   *session;
    ngx_http_atls_loc_conf_t  *alcf;

    most = 0;

    for (kind = ngx_http_atls_idle; kind <= ngx_http_atls_idle_record; kind++) {

        for (i = 0; i < n; i++) {
            session = ngx_http_atls_table_last(shard, kind);

            if (session == NULL) {
                break;
            }

            alcf = ngx_http_atls_session_conf(session);

            if (!ngx_http_atls_lifetime_expired(session, alcf)) {
                break;
            }

            ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                           "atls %08xD expired, kind:%ui",
                           ngx_http_atls_label(session->id, ngx_cycle->log),
                           kind);

            ngx_http_atls_table_remove(shard, session,
                                       ngx_http_atls_session_expiry(session,
                                                                    alcf));
        }

        most = ngx_max(most, i);
    }

    return most;
}


/* The configuration of the location; NULL if it was removed. */

static ngx_http_atls_loc_conf_t *
ngx_http_atls_session_conf(ngx_http_atls_session_t *session)
{
    ngx_http_atls_endpoint_t  *endpoint;

    endpoint = ngx_http_atls_endpoint_get(ngx_cycle, session->endpoint);

    return endpoint ? endpoint->loc_conf[ngx_http_atls_module.ctx_index] : NULL;
}


/* Why a session has expired. */

static ngx_http_atls_ending_e
ngx_http_atls_session_expiry(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf)
{
    return ngx_http_atls_lifetime_over(session, alcf)
           ? ngx_http_atls_ending_lifetime : ngx_http_atls_ending_idle;
}


/* Busy, if shared and in use, is not idle. */

static ngx_uint_t
ngx_http_atls_session_expired(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf)
{
    return (session->kind == ngx_http_atls_busy)
           ? ngx_http_atls_lifetime_over(session, alcf)
           : ngx_http_atls_lifetime_expired(session, alcf);
}


/* The kind of a session that is put back. */

ngx_http_atls_kind_e
ngx_http_atls_session_kind(ngx_http_atls_session_t *session)
{
    if (!session->established) {
        return ngx_http_atls_half_open;
    }

    if (ngx_http_atls_session_shared(session)
        && session->state.u.tls12.users)
    {
        return ngx_http_atls_busy;
    }

    if (session->inner) {
        return session->pending.len ? ngx_http_atls_resident_record
                                    : ngx_http_atls_resident;
    }

    if (session->pending.len) {
        return ngx_http_atls_idle_record;
    }

    return session->identity.kind == ngx_http_atls_stranger
           ? ngx_http_atls_idle_stranger : ngx_http_atls_idle;
}
