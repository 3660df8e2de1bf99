
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_entry.h"
#include "ngx_http_atls_table.h"
#include "ngx_http_atls_table_repair.h"


/* granularity of sorting: 1024 milliseconds, to limit the number of passes */

#define NGX_HTTP_ATLS_SORT_SHIFT  10

#define ngx_http_atls_is_piece(kind)                                          \
    ((kind) >= ngx_http_atls_record && (kind) <= ngx_http_atls_kept)

#define ngx_http_atls_is_session(kind)                                        \
    ((kind) >= ngx_http_atls_handshaking && (kind) < ngx_http_atls_kinds)


static void ngx_http_atls_table_mark(ngx_http_atls_shard_t *shard);
static void ngx_http_atls_table_mark_pieces(ngx_http_atls_shard_t *shard,
    ngx_http_atls_piece_t *piece);
static ngx_http_atls_piece_t *ngx_http_atls_table_unused(
    ngx_http_atls_shard_t *shard);
static uint32_t ngx_http_atls_table_collect(ngx_http_atls_shard_t *shard,
    int64_t *oldest, int64_t *newest);
static uint32_t ngx_http_atls_table_sort(ngx_http_atls_shard_t *shard,
    uint32_t list, int64_t oldest, int64_t newest);
static void ngx_http_atls_table_balance(ngx_http_atls_shard_t *shard,
    uint64_t sessions);


void
ngx_http_atls_table_init(ngx_http_atls_shard_t *shard)
{
    ngx_uint_t  i;

    ngx_memzero(shard->count, sizeof(shard->count));
    ngx_memzero(shard->buckets, (shard->mask + 1) * sizeof(uint32_t));

    for (i = 0; i < ngx_http_atls_kinds; i++) {
        ngx_queue_init(&shard->queues[i]);
    }
}


/*
 * Called after a process died with the lock held, at any instruction.  Raw
 * entries of the shard, and pieces without a session, are freed.  All other
 * data are rebuilt from the entries, so this function may be interrupted and
 * repeated.
 *
 * The queues are sorted by the time of last use, with a precision of about a
 * second.
 */

void
ngx_http_atls_table_repair(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard)
{
    int64_t                   oldest, newest;
    uint32_t                  i, next, *bucket;
    ngx_uint_t                sessions, dropped;
    ngx_http_atls_kept_t     *kept;
    ngx_http_atls_piece_t    *piece, *unused;
    ngx_http_atls_session_t  *session;

    ngx_http_atls_table_init(shard);

    ngx_http_atls_entries_lock(shard->entries);

    ngx_http_atls_table_mark(shard);

    unused = ngx_http_atls_table_unused(shard);

    i = ngx_http_atls_table_collect(shard, &oldest, &newest);

    ngx_http_atls_entries_unlock(shard->entries);

    dropped = 0;

    for (piece = unused; piece; piece = piece->next) {
        dropped++;
    }

    ngx_http_atls_entries_free(shard->entries, unused);

    i = ngx_http_atls_table_sort(shard, i, oldest, newest);

    sessions = 0;

    for ( /* void */ ; i; i = next) {
        session = ngx_http_atls_table_session(shard, i);
        next = session->next;

        bucket = ngx_http_atls_table_bucket(shard, session->id);
        session->next = *bucket;
        *bucket = i;

        ngx_queue_insert_head(&shard->queues[session->kind], &session->queue);
        shard->count[session->kind]++;

        if (session->kept.first) {
            kept = ngx_http_atls_table_kept(session);

            kept->session = session;
            ngx_queue_insert_head(&shard->queues[ngx_http_atls_kept],
                                  &kept->queue);
        }

        sessions++;
    }

    ngx_http_atls_table_balance(shard, sessions);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "atls_zone \"%V\" repaired after process %P died while "
                  "updating it: %ui sessions, %ui entries dropped",
                  &z->zone->shm.name, shard->changing, sessions, dropped);
}


/* Marks pieces that belong to sessions. */

static void
ngx_http_atls_table_mark(ngx_http_atls_shard_t *shard)
{
    uint32_t                  i;
    ngx_http_atls_piece_t    *piece;
    ngx_http_atls_session_t  *session;

    for (i = 0; i < shard->entries->touched; i++) {
        piece = &shard->entries->all[i].piece;

        if (piece->shard == shard->number
            && ngx_http_atls_is_piece(piece->kind))
        {
            piece->marked = 0;
        }
    }

    for (i = 0; i < shard->entries->touched; i++) {
        session = &shard->entries->all[i].session;

        if (session->shard != shard->number
            || !ngx_http_atls_is_session(session->kind))
        {
            continue;
        }

        ngx_http_atls_table_mark_pieces(shard, session->pending.first);
        ngx_http_atls_table_mark_pieces(shard, session->identity.first);
        ngx_http_atls_table_mark_pieces(shard, session->kept.first);

        if (session->sni_len > NGX_HTTP_ATLS_SNI_LEN) {
            ngx_http_atls_table_mark_pieces(shard, session->sni.piece);
        }
    }
}


static void
ngx_http_atls_table_mark_pieces(ngx_http_atls_shard_t *shard,
    ngx_http_atls_piece_t *piece)
{
    for ( /* void */ ; piece; piece = piece->next) {
        piece->marked = 1;
        shard->count[piece->kind]++;
    }
}


/* Links raw entries, and pieces that are not marked, into a list. */

static ngx_http_atls_piece_t *
ngx_http_atls_table_unused(ngx_http_atls_shard_t *shard)
{
    uint32_t                i;
    ngx_http_atls_piece_t  *piece, *list;

    list = NULL;

    for (i = 0; i < shard->entries->touched; i++) {
        piece = &shard->entries->all[i].piece;

        if (piece->shard == shard->number
            && (piece->kind == ngx_http_atls_raw
                || (ngx_http_atls_is_piece(piece->kind) && !piece->marked)))
        {
            piece->kind = ngx_http_atls_raw;
            piece->next = list;
            list = piece;
        }
    }

    return list;
}


/* Links all sessions into a list, and finds the range of their times. */

static uint32_t
ngx_http_atls_table_collect(ngx_http_atls_shard_t *shard, int64_t *oldest,
    int64_t *newest)
{
    uint32_t                  i, list;
    ngx_http_atls_session_t  *session;

    list = 0;
    *oldest = INT64_MAX;
    *newest = 0;

    for (i = 1; i <= shard->entries->touched; i++) {
        session = ngx_http_atls_table_session(shard, i);

        if (session->shard == shard->number
            && ngx_http_atls_is_session(session->kind))
        {
            *oldest = ngx_min(*oldest, session->used);
            *newest = ngx_max(*newest, session->used);

            session->next = list;
            list = i;
        }
    }

    return list;
}


/*
 * Radix sort, least recently used first.  The buckets, which are still empty,
 * are used for as many bits at a time.  Each pass is stable: entries are
 * reversed on insertion into a bucket, and again on insertion into the list.
 */

static uint32_t
ngx_http_atls_table_sort(ngx_http_atls_shard_t *shard, uint32_t list,
    int64_t oldest, int64_t newest)
{
    uint32_t                  i, n, next, *bucket;
    ngx_uint_t                bits, shift;
    ngx_http_atls_session_t  *session;

    for (bits = 0; shard->mask >> bits; bits++) { /* void */ }

    shift = NGX_HTTP_ATLS_SORT_SHIFT;

    for ( /* void */ ; list && (newest - oldest) >> shift; shift += bits) {

        for (i = list; i; i = next) {
            session = ngx_http_atls_table_session(shard, i);
            next = session->next;

            bucket = &shard->buckets[((session->used - oldest) >> shift)
                                     & shard->mask];
            session->next = *bucket;
            *bucket = i;
        }

        list = 0;

        for (n = shard->mask + 1; n--; /* void */ ) {

            for (i = shard->buckets[n]; i; i = next) {
                session = ngx_http_atls_table_session(shard, i);
                next = session->next;

                session->next = list;
                list = i;
            }

            shard->buckets[n] = 0;
        }
    }

    return list;
}


/* A session may have been added or removed without being counted. */

static void
ngx_http_atls_table_balance(ngx_http_atls_shard_t *shard, uint64_t sessions)
{
    uint64_t    ended;
    ngx_uint_t  i;

    ended = 0;

    for (i = 0; i < ngx_http_atls_endings; i++) {
        ended += shard->ended[i];
    }

    if (shard->started < ended + sessions) {
        shard->started = ended + sessions;

    } else {
        shard->ended[ngx_http_atls_ending_lost] += shard->started - ended
                                                   - sessions;
    }
}
