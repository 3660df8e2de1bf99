
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_entry.h"
#include "ngx_http_atls_table.h"
#include "ngx_http_atls_table_repair.h"

#include <openssl/rand.h>


/* The version of the structures, together with TRL_STATE_VERSION. */

#define NGX_HTTP_ATLS_LAYOUT  ((15 << 16) | TRL_STATE_VERSION)

/* The memory of a shard, and the maximum number of shards. */

#define NGX_HTTP_ATLS_SHARD_SIZE  (256 * 1024)
#define NGX_HTTP_ATLS_MAX_SHARDS  64

/* The maximum number of lost sessions that are remembered by a shard. */

#define NGX_HTTP_ATLS_MAX_LOST  64

#define ngx_http_atls_table_index(shard, session)                             \
    ((uint32_t) ((ngx_http_atls_entry_t *) (session)                          \
                 - (shard)->entries->all + 1))

#define ngx_http_atls_table_mutex(z, number)                                  \
    (&((ngx_slab_pool_t *) (z)->locks[number]->shm.addr)->mutex)


ngx_uint_t
ngx_http_atls_table_shards(size_t size)
{
    ngx_uint_t  n;

    for (n = 1; n < NGX_HTTP_ATLS_MAX_SHARDS; n <<= 1) {

        if (size / NGX_HTTP_ATLS_SHARD_SIZE < n * 2) {
            break;
        }
    }

    return n;
}


ngx_int_t
ngx_http_atls_table_create(ngx_http_atls_zone_t *z)
{
    size_t                  size;
    uint32_t               *words;
    ngx_uint_t              i, n, max, map, lost;
    ngx_shm_zone_t         *zone;
    ngx_http_atls_shard_t  *shard;
    ngx_http_atls_table_t  *table;

    zone = z->zone;

    /* the upper limit of entries; the number of buckets is similar */

    max = zone->shm.size / sizeof(ngx_http_atls_entry_t);

    for (n = 64; n < max / 2; n <<= 1) { /* void */ }

    n /= z->nlocks;

    map = ngx_http_atls_entries_map_size(max);
    lost = ngx_min(max / 8 / z->nlocks, NGX_HTTP_ATLS_MAX_LOST);

    size = sizeof(ngx_http_atls_table_t)
           + z->nlocks * (sizeof(ngx_http_atls_shard_t)
                          + (n + lost) * sizeof(uint32_t))
           + map * sizeof(uint32_t);

    table = ngx_slab_calloc(z->shpool, size);
    if (table == NULL) {
        return NGX_ERROR;
    }

    table->layout = NGX_HTTP_ATLS_LAYOUT;
    table->entry_size = sizeof(ngx_http_atls_entry_t);

    table->shards = (ngx_http_atls_shard_t *) &table[1];
    table->nshards = z->nlocks;

    if (RAND_bytes(table->key, NGX_HTTP_ATLS_KEY_LEN) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, zone->shm.log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    words = (uint32_t *) &table->shards[table->nshards];

    for (i = 0; i < table->nshards; i++) {
        shard = &table->shards[i];

        shard->entries = &table->entries;
        shard->number = i;

        shard->buckets = words;
        shard->mask = n - 1;
        words += n;

        shard->lost = words;
        shard->lost_size = lost;
        words += lost;

        ngx_http_atls_table_init(shard);
    }

    if (ngx_http_atls_entries_create(&table->entries, z->shpool, words, max)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_log_debug6(NGX_LOG_DEBUG_HTTP, zone->shm.log, 0,
                   "atls zone \"%V\" entries:%uD, half-open:%ui, records:%ui, "
                   "unverified:%ui, shards:%ui", &zone->shm.name,
                   table->entries.n, table->entries.half_open,
                   table->entries.record, table->entries.stranger,
                   table->nshards);

    z->table = table;
    z->shpool->data = table;

    return NGX_OK;
}


ngx_uint_t
ngx_http_atls_table_known(ngx_http_atls_table_t *table)
{
    return table->layout == NGX_HTTP_ATLS_LAYOUT
           && table->entry_size == sizeof(ngx_http_atls_entry_t);
}


ngx_http_atls_shard_t *
ngx_http_atls_table_lock(ngx_http_atls_zone_t *z, u_char *id)
{
    return ngx_http_atls_table_lock_shard(z, id[0] & (z->table->nshards - 1));
}


ngx_http_atls_shard_t *
ngx_http_atls_table_lock_shard(ngx_http_atls_zone_t *z, ngx_uint_t number)
{
    ngx_http_atls_shard_t  *shard;

    shard = &z->table->shards[number];

    ngx_shmtx_lock(ngx_http_atls_table_mutex(z, number));

    if (shard->changing) {
        ngx_http_atls_table_repair(z, shard);
    }

    shard->changing = ngx_pid;
    ngx_memory_barrier();

    return shard;
}


void
ngx_http_atls_table_unlock(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard)
{
    ngx_memory_barrier();
    shard->changing = 0;

    ngx_shmtx_unlock(ngx_http_atls_table_mutex(z, shard->number));

    ngx_http_atls_ending_log(z->log);
    z->log = NULL;
}


void
ngx_http_atls_table_wake(ngx_http_atls_zone_t *z)
{
    ngx_uint_t  i;

    ngx_http_atls_shmtx_wake(&z->shpool->mutex);

    for (i = 0; i < z->nlocks; i++) {
        ngx_http_atls_shmtx_wake(ngx_http_atls_table_mutex(z, i));
    }
}


ngx_http_atls_share_e
ngx_http_atls_table_share(ngx_http_atls_kind_e kind)
{
    switch (kind) {

    case ngx_http_atls_handshaking:
    case ngx_http_atls_half_open:
        return ngx_http_atls_share_half_open;

    case ngx_http_atls_record:
        return ngx_http_atls_share_record;

    case ngx_http_atls_stranger:
        return ngx_http_atls_share_stranger;

    case ngx_http_atls_kept:
        return ngx_http_atls_share_kept;

    default:
        return ngx_http_atls_share_established;
    }
}


ngx_http_atls_session_t *
ngx_http_atls_table_find(ngx_http_atls_shard_t *shard, u_char *id)
{
    uint32_t                  i;
    ngx_http_atls_session_t  *session;

    for (i = *ngx_http_atls_table_bucket(shard, id); i; i = session->next) {
        session = ngx_http_atls_table_session(shard, i);

        if (CRYPTO_memcmp(session->id, id, NGX_HTTP_ATLS_ID_LEN) == 0) {
            return session;
        }
    }

    return NULL;
}


void
ngx_http_atls_table_add(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind)
{
    uint32_t  *bucket;

    bucket = ngx_http_atls_table_bucket(shard, session->id);

    session->next = *bucket;
    *bucket = ngx_http_atls_table_index(shard, session);

    ngx_queue_insert_head(&shard->queues[kind], &session->queue);
    shard->count[kind]++;
    shard->started++;

    ngx_memory_barrier();
    session->kind = kind;
}


void
ngx_http_atls_table_move(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind)
{
    ngx_http_atls_share_e  share;

    share = ngx_http_atls_table_share(kind);

    if (session->share != share) {
        (void) ngx_http_atls_entries_move(shard->entries, session, share);
    }

    ngx_queue_remove(&session->queue);
    ngx_queue_insert_head(&shard->queues[kind], &session->queue);

    shard->count[session->kind]--;
    shard->count[kind]++;

    /* other members must be written before the kind */

    ngx_memory_barrier();
    session->kind = kind;
}


void
ngx_http_atls_table_remove(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session, ngx_http_atls_ending_e reason)
{
    uint32_t                i, *p;
    ngx_http_atls_piece_t  *entry;

    i = ngx_http_atls_table_index(shard, session);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls %08xD remove, kind:%d, requests:%uD, reason:%d",
                   ngx_http_atls_label(session->id, ngx_cycle->log),
                   session->kind, session->requests, (int) reason);

    ngx_http_atls_ending_add(session, reason);
    shard->ended[reason]++;

    for (p = ngx_http_atls_table_bucket(shard, session->id);
         *p != i;
         p = &ngx_http_atls_table_session(shard, *p)->next)
    {
        /* void */
    }

    *p = session->next;

    ngx_queue_remove(&session->queue);
    shard->count[session->kind]--;

    /* afterwards, the pieces do not belong to a session */

    session->kind = ngx_http_atls_raw;
    ngx_memory_barrier();

    ngx_http_atls_table_forget(shard, session);
    ngx_http_atls_table_free_pieces(shard, session->pending.first);
    ngx_http_atls_table_free_pieces(shard, session->identity.first);

    if (session->sni_len > NGX_HTTP_ATLS_SNI_LEN) {
        ngx_http_atls_table_free_pieces(shard, session->sni.piece);
    }

    entry = (ngx_http_atls_piece_t *) session;
    entry->next = NULL;

    ngx_http_atls_entries_free(shard->entries, entry);
}


void
ngx_http_atls_table_lose(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session)
{
    shard->lost[shard->nlost++ % shard->lost_size] =
                                      ngx_http_atls_table_hash(session->id);

    ngx_http_atls_table_remove(shard, session, ngx_http_atls_ending_lost);
}


ngx_uint_t
ngx_http_atls_table_is_lost(ngx_http_atls_shard_t *shard, u_char *id)
{
    uint32_t    n;
    ngx_uint_t  i;

    n = ngx_http_atls_table_hash(id);

    for (i = 0; i < ngx_min(shard->nlost, shard->lost_size); i++) {
        if (shard->lost[i] == n) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_atls_table_free_pieces(ngx_http_atls_shard_t *shard,
    ngx_http_atls_piece_t *first)
{
    ngx_http_atls_piece_t  *piece;

    for (piece = first; piece; piece = piece->next) {
        shard->count[piece->kind]--;
    }

    ngx_http_atls_entries_free(shard->entries, first);
}


void
ngx_http_atls_table_forget(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session)
{
    ngx_http_atls_piece_t  *piece;

    piece = session->kept.first;

    if (piece == NULL) {
        return;
    }

    ngx_queue_remove(&ngx_http_atls_table_kept(session)->queue);

    session->kept.first = NULL;
    session->kept.len = 0;

    ngx_memory_barrier();

    ngx_http_atls_table_free_pieces(shard, piece);
}
