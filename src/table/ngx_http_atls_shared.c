
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_shared.h"
#include "ngx_http_atls_table.h"


static ngx_int_t ngx_http_atls_shared_advance(trl_state_t *state, ngx_uint_t n,
    ngx_uint_t last);
static ngx_http_atls_shard_t *ngx_http_atls_shared_lock(ngx_shm_zone_t *zone,
    u_char *id, ngx_http_atls_session_t **session);
static void ngx_http_atls_shared_used(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session);


ngx_int_t
ngx_http_atls_shared_mark(ngx_shm_zone_t *zone, u_char *id, uint64_t number,
    ngx_uint_t *user)
{
    ngx_int_t                 rc;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    shard = ngx_http_atls_shared_lock(zone, id, &session);

    if (session == NULL) {
        rc = NGX_ABORT;

    } else if (trl_window_mark(&session->state.u.tls12.window, number) == -1) {
        rc = NGX_DECLINED;

    } else {

        if (!*user) {
            ngx_http_atls_worker_use(1);
            session->state.u.tls12.users++;
            *user = 1;
        }

        ngx_http_atls_shared_used(shard, session);
        rc = NGX_OK;
    }

    ngx_http_atls_table_unlock(zone->data, shard);

    return rc;
}


/* RFC 9147, section 4.5.3, also applies to the AEADs of DTLS 1.2. */

ngx_int_t
ngx_http_atls_shared_forged(ngx_shm_zone_t *zone, u_char *id)
{
    ngx_int_t                 rc;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    rc = NGX_OK;

    shard = ngx_http_atls_shared_lock(zone, id, &session);

    if (session
        && ++session->state.read.forged
           >= trl_aead_forgeries(session->state.aead))
    {
        rc = NGX_DECLINED;
    }

    ngx_http_atls_table_unlock(zone->data, shard);

    return rc;
}


ngx_int_t
ngx_http_atls_shared_reserve(ngx_shm_zone_t *zone, u_char *id, ngx_uint_t n,
    ngx_uint_t last, uint64_t *first)
{
    ngx_int_t                 rc;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    rc = NGX_ABORT;

    shard = ngx_http_atls_shared_lock(zone, id, &session);

    if (session) {
        *first = session->state.write.seq;
        rc = ngx_http_atls_shared_advance(&session->state, n, last);
    }

    if (rc == NGX_OK) {
        ngx_http_atls_shared_used(shard, session);
    }

    ngx_http_atls_table_unlock(zone->data, shard);

    return rc;
}


/* The number is a word: it is used up even if this process dies. */

static ngx_int_t
ngx_http_atls_shared_advance(trl_state_t *state, ngx_uint_t n, ngx_uint_t last)
{
    uint64_t  limit;

    limit = trl_state_limit(state) - (last ? 0 : 1);

    if (trl_epoch_number(state->write.seq) + n > limit) {
        return NGX_DECLINED;
    }

    state->write.seq += n;

    return NGX_OK;
}


uint32_t
ngx_http_atls_shared_flight(ngx_shm_zone_t *zone, u_char *id, uint32_t n)
{
    uint32_t                  first;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    first = 0;

    shard = ngx_http_atls_shared_lock(zone, id, &session);

    if (session) {
        first = session->state.u.tls12.next_flight;
        session->state.u.tls12.next_flight = first + n;
    }

    ngx_http_atls_table_unlock(zone->data, shard);

    return first;
}


void
ngx_http_atls_shared_end(ngx_shm_zone_t *zone, ngx_http_atls_session_t *copy,
    uint32_t requests, uint64_t in, uint64_t out, ngx_uint_t user)
{
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    shard = ngx_http_atls_shared_lock(zone, copy->id, &session);

    if (session) {
        session->requests += copy->requests - requests;
        session->bytes_in += in;
        session->bytes_out += out;
        session->cookie = copy->cookie;
    }

    if (session && user && session->state.u.tls12.users) {
        session->state.u.tls12.users--;
        ngx_http_atls_shared_used(shard, session);
    }

    ngx_http_atls_table_unlock(zone->data, shard);

    if (user) {
        ngx_http_atls_worker_use(-1);
    }
}


void
ngx_http_atls_shared_reset(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session)
{
    session->state.u.tls12.users = 0;

    ngx_http_atls_table_move(shard, session,
                             ngx_http_atls_session_kind(session));
}


void
ngx_http_atls_shared_remove(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_ending_e reason, ngx_log_t *log)
{
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    z = zone->data;

    shard = ngx_http_atls_shared_lock(zone, id, &session);

    if (session) {
        ngx_http_atls_table_remove(shard, session, reason);
        z->log = log;
    }

    ngx_http_atls_table_unlock(z, shard);
}


/* *session is NULL if it has ended. */

static ngx_http_atls_shard_t *
ngx_http_atls_shared_lock(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_session_t **session)
{
    ngx_http_atls_shard_t  *shard;

    shard = ngx_http_atls_table_lock(zone->data, id);

    *session = ngx_http_atls_table_find(shard, id);

    if (*session && !ngx_http_atls_session_shared(*session)) {
        *session = NULL;
    }

    return shard;
}


static void
ngx_http_atls_shared_used(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session)
{
    session->used = ngx_http_atls_clock();

    ngx_http_atls_table_move(shard, session,
                             ngx_http_atls_session_kind(session));
}
