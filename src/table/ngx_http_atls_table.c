
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_table.h"

#include <openssl/rand.h>


/* The version of the structures, together with TRL_STATE_VERSION. */

#define NGX_HTTP_ATLS_LAYOUT  ((14 << 16) | TRL_STATE_VERSION)

/* The maximum number of entries in a share, as large zones do not need 1/8. */

#define NGX_HTTP_ATLS_MAX_SHARE  8192

#define NGX_HTTP_ATLS_MIN_HALF_OPEN  8

/* The maximum number of lost sessions that are remembered. */

#define NGX_HTTP_ATLS_MAX_LOST  256

/* granularity of sorting: 1024 milliseconds, to limit the number of passes */

#define NGX_HTTP_ATLS_SORT_SHIFT  10

/* number of pieces for the largest record */

#define NGX_HTTP_ATLS_RECORD_PIECES                                           \
    ((TRL_MAX_RECORD + NGX_HTTP_ATLS_PIECE - 1) / NGX_HTTP_ATLS_PIECE)

#define ngx_http_atls_is_piece(kind)                                          \
    ((kind) >= ngx_http_atls_record && (kind) <= ngx_http_atls_kept)

#define ngx_http_atls_is_session(kind)                                        \
    ((kind) >= ngx_http_atls_handshaking && (kind) < ngx_http_atls_kinds)

/* indexes start from 1 */

#define ngx_http_atls_table_index(table, session)                             \
    ((uint32_t) ((ngx_http_atls_entry_t *) (session) - (table)->entries + 1))

#define ngx_http_atls_table_session(table, index)                             \
    (&(table)->entries[(index) - 1].session)


static ngx_int_t ngx_http_atls_table_create_entries(
    ngx_http_atls_table_t *table, ngx_slab_pool_t *shpool);
static void ngx_http_atls_table_init(ngx_http_atls_table_t *table);
static void ngx_http_atls_table_set_free(ngx_http_atls_table_t *table,
    uint32_t i);
static void ngx_http_atls_table_set_used(ngx_http_atls_table_t *table,
    uint32_t i);
static ngx_uint_t ngx_http_atls_table_half_open(ngx_http_atls_table_t *table);
static ngx_uint_t ngx_http_atls_table_established(
    ngx_http_atls_table_t *table);
static ngx_int_t ngx_http_atls_table_evict(ngx_http_atls_table_t *table,
    const ngx_http_atls_kind_e *kinds);
static ngx_int_t ngx_http_atls_table_reclaim(ngx_http_atls_table_t *table);
static uint32_t *ngx_http_atls_table_bucket(ngx_http_atls_table_t *table,
    u_char *id);
static void ngx_http_atls_table_free(ngx_http_atls_table_t *table, void *p);
static void ngx_http_atls_table_repair(ngx_http_atls_zone_t *z);
static ngx_uint_t ngx_http_atls_table_mark(ngx_http_atls_table_t *table);
static void ngx_http_atls_table_mark_pieces(ngx_http_atls_table_t *table,
    ngx_http_atls_piece_t *piece);
static uint32_t ngx_http_atls_table_collect(ngx_http_atls_table_t *table,
    int64_t *oldest, int64_t *newest);
static uint32_t ngx_http_atls_table_sort(ngx_http_atls_table_t *table,
    uint32_t list, int64_t oldest, int64_t newest);
static void ngx_http_atls_table_balance(ngx_http_atls_table_t *table,
    uint64_t sessions);


/* Kinds of sessions to evict, starting with the least recently used one. */

static const ngx_http_atls_kind_e  ngx_http_atls_evict_half_open[] = {
    ngx_http_atls_half_open, ngx_http_atls_free
};

static const ngx_http_atls_kind_e  ngx_http_atls_evict_record[] = {
    ngx_http_atls_idle_record, ngx_http_atls_resident_record,
    ngx_http_atls_free
};

static const ngx_http_atls_kind_e  ngx_http_atls_evict_stranger[] = {
    ngx_http_atls_idle_stranger, ngx_http_atls_free
};

static const ngx_http_atls_kind_e  ngx_http_atls_evict_idle[] = {
    ngx_http_atls_idle, ngx_http_atls_idle_stranger, ngx_http_atls_idle_record,
    ngx_http_atls_free
};

static const ngx_http_atls_kind_e  ngx_http_atls_evict_resident[] = {
    ngx_http_atls_resident, ngx_http_atls_resident_record, ngx_http_atls_free
};


ngx_int_t
ngx_http_atls_table_create(ngx_http_atls_zone_t *z)
{
    size_t                  len;
    uint32_t               *map;
    ngx_uint_t              n, max, size, lost;
    ngx_shm_zone_t         *zone;
    ngx_slab_pool_t        *shpool;
    ngx_http_atls_table_t  *table;

    zone = z->zone;
    shpool = z->shpool;

    /* the upper limit of entries; the number of buckets is similar */

    max = zone->shm.size / sizeof(ngx_http_atls_entry_t);

    for (n = 64; n < max / 2; n <<= 1) { /* void */ }

    size = 0;
    len = max;

    do {
        len = (len + 31) / 32;
        size += len;

    } while (len > 1);

    lost = ngx_min(max / 8, NGX_HTTP_ATLS_MAX_LOST);

    table = ngx_slab_calloc(shpool, sizeof(ngx_http_atls_table_t)
                                    + (n + size + lost) * sizeof(uint32_t));
    if (table == NULL) {
        return NGX_ERROR;
    }

    table->layout = NGX_HTTP_ATLS_LAYOUT;
    table->entry_size = sizeof(ngx_http_atls_entry_t);
    table->mask = n - 1;

    if (RAND_bytes(table->key, NGX_HTTP_ATLS_KEY_LEN) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, zone->shm.log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    map = &table->buckets[n];
    len = max;

    do {
        len = (len + 31) / 32;

        table->map[table->levels++] = map;
        map += len;

    } while (len > 1);

    table->map_size = size;

    table->lost = &table->buckets[n + size];
    table->lost_size = lost;

    if (ngx_http_atls_table_create_entries(table, shpool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_atls_table_init(table);

    ngx_log_debug5(NGX_LOG_DEBUG_HTTP, zone->shm.log, 0,
                   "atls zone \"%V\" entries:%uD, half-open:%ui, records:%ui, "
                   "unverified:%ui", &zone->shm.name, table->nentries,
                   table->half_open_share, table->record_share,
                   table->stranger_share);

    z->table = table;
    shpool->data = table;

    return NGX_OK;
}


/*
 * Allocates the remaining memory of the zone as a single block.  The slab
 * allocator is not used afterwards, since it would be corrupted by a process
 * that dies in it.  Pages are not written to before they are used.
 */

static ngx_int_t
ngx_http_atls_table_create_entries(ngx_http_atls_table_t *table,
    ngx_slab_pool_t *shpool)
{
    ngx_uint_t  n;

    shpool->log_nomem = 0;

    for (n = shpool->pfree; n && table->entries == NULL; n--) {
        table->entries = ngx_slab_alloc(shpool, n * ngx_pagesize);
        table->nentries = n * ngx_pagesize / sizeof(ngx_http_atls_entry_t);
    }

    if (table->entries == NULL) {
        return NGX_ERROR;
    }

    n = table->nentries;

    table->half_open_share = ngx_min(n / 8, NGX_HTTP_ATLS_MAX_SHARE);
    table->half_open_share = ngx_max(table->half_open_share,
                                     ngx_min(n / 4,
                                             NGX_HTTP_ATLS_MIN_HALF_OPEN));

    table->record_share = ngx_min(n / 16, NGX_HTTP_ATLS_MAX_SHARE);
    table->record_share = ngx_max(table->record_share,
                                  ngx_min(n / 8, NGX_HTTP_ATLS_RECORD_PIECES));

    table->stranger_share = n / 4;

    return NGX_OK;
}


ngx_uint_t
ngx_http_atls_table_known(ngx_http_atls_table_t *table)
{
    return table->layout == NGX_HTTP_ATLS_LAYOUT
           && table->entry_size == sizeof(ngx_http_atls_entry_t);
}


/* Initializes everything derived from entries, except "touched". */

static void
ngx_http_atls_table_init(ngx_http_atls_table_t *table)
{
    uint32_t    n;
    ngx_uint_t  i;

    ngx_memzero(table->count, sizeof(table->count));
    ngx_memzero(table->buckets, (table->mask + 1) * sizeof(uint32_t));
    ngx_memzero(table->map[0], table->map_size * sizeof(uint32_t));

    for (i = 0; i < ngx_http_atls_kinds; i++) {
        ngx_queue_init(&table->queues[i]);
    }

    ngx_queue_init(&table->kept);

    for (n = table->touched; n < table->nentries; n++) {
        ngx_http_atls_table_set_free(table, n);
    }
}


static void
ngx_http_atls_table_set_free(ngx_http_atls_table_t *table, uint32_t i)
{
    uint32_t    *word, last;
    ngx_uint_t   level;

    for (level = 0; level < table->levels; level++) {
        word = &table->map[level][i / 32];
        last = *word;

        *word |= (uint32_t) 1 << i % 32;

        if (last) {
            return;
        }

        i /= 32;
    }
}


static void
ngx_http_atls_table_set_used(ngx_http_atls_table_t *table, uint32_t i)
{
    uint32_t    *word;
    ngx_uint_t   level;

    for (level = 0; level < table->levels; level++) {
        word = &table->map[level][i / 32];

        *word &= ~((uint32_t) 1 << i % 32);

        if (*word) {
            return;
        }

        i /= 32;
    }
}


void
ngx_http_atls_table_lock(ngx_http_atls_zone_t *z)
{
    ngx_shmtx_lock(&z->shpool->mutex);

    if (z->table->changing) {
        ngx_http_atls_table_repair(z);
    }

    z->table->changing = ngx_pid;
    ngx_memory_barrier();
}


void
ngx_http_atls_table_unlock(ngx_http_atls_zone_t *z)
{
    ngx_memory_barrier();
    z->table->changing = 0;

    ngx_shmtx_unlock(&z->shpool->mutex);

    ngx_http_atls_ending_log(z->log);
    z->log = NULL;
}


/*
 * Limits of kinds.  Half-open sessions have a reserved share, which is also
 * their maximum.  Pieces of records have a reserved share, and may exceed it
 * while there is free memory.  Pieces with the identity of unverified clients
 * have a maximum share of the memory for established sessions.
 */

ngx_int_t
ngx_http_atls_table_room(ngx_http_atls_table_t *table,
    ngx_http_atls_kind_e kind)
{
    ngx_uint_t  all, share;

    if (kind == ngx_http_atls_kept) {

        /* nothing is evicted for these */

        return NGX_OK;
    }

    if (kind == ngx_http_atls_handshaking) {
        share = table->half_open_share;

        return ngx_http_atls_table_half_open(table) < share
               ? NGX_OK
               : ngx_http_atls_table_evict(table,
                                           ngx_http_atls_evict_half_open);
    }

    all = table->nentries - table->half_open_share;
    share = table->record_share;

    if (kind == ngx_http_atls_record) {

        while (table->count[ngx_http_atls_record] >= share
               && table->count[ngx_http_atls_record]
                  + ngx_http_atls_table_established(table) >= all)
        {
            if (ngx_http_atls_table_evict(table, ngx_http_atls_evict_record)
                != NGX_OK)
            {
                return NGX_BUSY;
            }
        }

        return NGX_OK;
    }

    while (kind == ngx_http_atls_stranger
           && table->count[kind] >= table->stranger_share)
    {
        if (ngx_http_atls_table_evict(table, ngx_http_atls_evict_stranger)
            != NGX_OK)
        {
            return NGX_BUSY;
        }
    }

    while (ngx_http_atls_table_established(table) >= all - share) {

        if (ngx_http_atls_table_evict(table, ngx_http_atls_evict_idle)
            != NGX_OK
            && ngx_http_atls_table_evict(table, ngx_http_atls_evict_resident)
               != NGX_OK)
        {
            return NGX_BUSY;
        }
    }

    while (ngx_http_atls_table_established(table)
           + table->count[ngx_http_atls_record] >= all)
    {
        if (ngx_http_atls_table_evict(table, ngx_http_atls_evict_record)
            != NGX_OK)
        {
            return NGX_BUSY;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_atls_table_half_open(ngx_http_atls_table_t *table)
{
    return table->count[ngx_http_atls_handshaking]
           + table->count[ngx_http_atls_half_open];
}


/* Counts established sessions and their pieces, except records. */

static ngx_uint_t
ngx_http_atls_table_established(ngx_http_atls_table_t *table)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = ngx_http_atls_name; i <= ngx_http_atls_stranger; i++) {
        n += table->count[i];
    }

    for (i = ngx_http_atls_busy; i < ngx_http_atls_kinds; i++) {
        n += table->count[i];
    }

    return n;
}


static ngx_int_t
ngx_http_atls_table_evict(ngx_http_atls_table_t *table,
    const ngx_http_atls_kind_e *kinds)
{
    ngx_http_atls_session_t  *session, *victim;

    victim = NULL;

    for ( /* void */ ; *kinds != ngx_http_atls_free; kinds++) {
        session = ngx_http_atls_table_last(table, *kinds);

        if (session && (victim == NULL || session->used < victim->used)) {
            victim = session;
        }
    }

    if (victim == NULL) {
        return NGX_BUSY;
    }

    table->evicted[victim->kind]++;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls %08xD evict, kind:%uD",
                   ngx_http_atls_label(victim->id, ngx_cycle->log),
                   victim->kind);

    ngx_http_atls_table_remove(table, victim, ngx_http_atls_ending_evicted);

    return NGX_OK;
}


/* Frees the oldest response that is kept, also that of a busy session. */

static ngx_int_t
ngx_http_atls_table_reclaim(ngx_http_atls_table_t *table)
{
    ngx_http_atls_kept_t  *kept;

    if (ngx_queue_empty(&table->kept)) {
        return NGX_BUSY;
    }

    kept = ngx_queue_data(ngx_queue_last(&table->kept), ngx_http_atls_kept_t,
                          queue);

    ngx_http_atls_table_forget(table, kept->session);

    return NGX_OK;
}


/* Ids are random, so no hash is needed. */

static uint32_t *
ngx_http_atls_table_bucket(ngx_http_atls_table_t *table, u_char *id)
{
    uint32_t  n;

    ngx_memcpy(&n, id, sizeof(uint32_t));

    return &table->buckets[n & table->mask];
}


ngx_http_atls_session_t *
ngx_http_atls_table_find(ngx_http_atls_table_t *table, u_char *id)
{
    uint32_t                  i;
    ngx_http_atls_session_t  *session;

    for (i = *ngx_http_atls_table_bucket(table, id); i; i = session->next) {
        session = ngx_http_atls_table_session(table, i);

        if (CRYPTO_memcmp(session->id, id, NGX_HTTP_ATLS_ID_LEN) == 0) {
            return session;
        }
    }

    return NULL;
}


/* Uses the first free entry, to keep entries in use close together. */

void *
ngx_http_atls_table_alloc(ngx_http_atls_table_t *table)
{
    uint32_t                i, word;
    ngx_uint_t              level;
    ngx_http_atls_entry_t  *entry;

    i = 0;

    if (table->map[table->levels - 1][0] == 0
        && ngx_http_atls_table_reclaim(table) != NGX_OK)
    {
        return NULL;
    }

    for (level = table->levels; level--; /* void */ ) {
        word = table->map[level][i];

        i = i * 32 + ffs((int) word) - 1;
    }

    entry = &table->entries[i];

    ngx_http_atls_table_set_used(table, i);

    entry->kind = ngx_http_atls_raw;
    ngx_memory_barrier();

    if (i >= table->touched) {
        table->touched = i + 1;
    }

    return entry;
}


/* The entry is wiped before its kind is written: see the header. */

static void
ngx_http_atls_table_free(ngx_http_atls_table_t *table, void *p)
{
    ngx_http_atls_entry_t  *entry = p;

    entry->kind = ngx_http_atls_raw;
    ngx_memory_barrier();

    ngx_explicit_memzero((u_char *) p + sizeof(uint32_t),
                         sizeof(ngx_http_atls_entry_t) - sizeof(uint32_t));

    ngx_memory_barrier();
    entry->kind = ngx_http_atls_free;

    ngx_http_atls_table_set_free(table, entry - table->entries);
}


void
ngx_http_atls_table_add(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind)
{
    uint32_t  *bucket;

    bucket = ngx_http_atls_table_bucket(table, session->id);

    session->next = *bucket;
    *bucket = ngx_http_atls_table_index(table, session);

    ngx_queue_insert_head(&table->queues[kind], &session->queue);
    table->count[kind]++;
    table->started++;

    ngx_memory_barrier();
    session->kind = kind;
}


void
ngx_http_atls_table_move(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind)
{
    ngx_queue_remove(&session->queue);
    ngx_queue_insert_head(&table->queues[kind], &session->queue);

    table->count[session->kind]--;
    table->count[kind]++;

    /* other members must be written before the kind */

    ngx_memory_barrier();
    session->kind = kind;
}


void
ngx_http_atls_table_remove(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session, ngx_http_atls_ending_e reason)
{
    uint32_t  i, *p;

    i = ngx_http_atls_table_index(table, session);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls %08xD remove, kind:%uD, requests:%uD, reason:%d",
                   ngx_http_atls_label(session->id, ngx_cycle->log),
                   session->kind, session->requests, (int) reason);

    ngx_http_atls_ending_add(session, reason);
    table->ended[reason]++;

    for (p = ngx_http_atls_table_bucket(table, session->id);
         *p != i;
         p = &ngx_http_atls_table_session(table, *p)->next)
    {
        /* void */
    }

    *p = session->next;

    ngx_queue_remove(&session->queue);
    table->count[session->kind]--;

    /* afterwards, the pieces do not belong to a session */

    session->kind = ngx_http_atls_raw;
    ngx_memory_barrier();

    ngx_http_atls_table_forget(table, session);
    ngx_http_atls_table_free_pieces(table, session->pending.first);
    ngx_http_atls_table_free_pieces(table, session->identity.first);

    if (session->sni_len > NGX_HTTP_ATLS_SNI_LEN) {
        ngx_http_atls_table_free_pieces(table, session->sni.piece);
    }

    ngx_http_atls_table_free(table, session);
}


void
ngx_http_atls_table_lose(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session)
{
    ngx_memcpy(&table->lost[table->nlost % table->lost_size], session->id,
               sizeof(uint32_t));
    table->nlost++;

    ngx_http_atls_table_remove(table, session, ngx_http_atls_ending_lost);
}


ngx_uint_t
ngx_http_atls_table_is_lost(ngx_http_atls_table_t *table, u_char *id)
{
    uint32_t    n;
    ngx_uint_t  i;

    ngx_memcpy(&n, id, sizeof(uint32_t));

    for (i = 0; i < ngx_min(table->nlost, table->lost_size); i++) {
        if (table->lost[i] == n) {
            return 1;
        }
    }

    return 0;
}


ngx_http_atls_piece_t *
ngx_http_atls_table_pieces(ngx_http_atls_table_t *table,
    ngx_http_atls_kind_e kind, size_t len)
{
    size_t                  n;
    ngx_http_atls_piece_t  *piece, *first, **next;

    first = NULL;
    next = &first;

    for (n = 0; n < len; n += NGX_HTTP_ATLS_PIECE) {

        piece = NULL;

        if (ngx_http_atls_table_room(table, kind) == NGX_OK) {
            piece = ngx_http_atls_table_alloc(table);
        }

        if (piece == NULL) {
            ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                           "atls no room for %uz bytes, kind:%ui",
                           len, (ngx_uint_t) kind);

            ngx_http_atls_table_free_pieces(table, first);
            return NULL;
        }

        piece->next = NULL;

        *next = piece;
        next = &piece->next;

        table->count[kind]++;

        ngx_memory_barrier();
        piece->kind = kind;
    }

    return first;
}


void
ngx_http_atls_table_free_pieces(ngx_http_atls_table_t *table,
    ngx_http_atls_piece_t *piece)
{
    ngx_http_atls_piece_t  *next;

    for ( /* void */ ; piece; piece = next) {
        next = piece->next;

        table->count[piece->kind]--;
        ngx_http_atls_table_free(table, piece);
    }
}


ngx_uint_t
ngx_http_atls_table_spare(ngx_http_atls_table_t *table)
{
    ngx_uint_t  i, used;

    used = 0;

    for (i = 0; i < ngx_http_atls_kinds; i++) {
        if (i != ngx_http_atls_kept) {
            used += table->count[i];
        }
    }

    return table->nentries - used;
}


void
ngx_http_atls_table_forget(ngx_http_atls_table_t *table,
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

    ngx_http_atls_table_free_pieces(table, piece);
}


/*
 * Called after a process died with the lock held, at any instruction.  Raw
 * entries, and pieces without a session, are freed.  All other data are
 * rebuilt from the entries, so this function may be interrupted and repeated.
 *
 * The queues are sorted by the time of last use, with a precision of about a
 * second.
 */

static void
ngx_http_atls_table_repair(ngx_http_atls_zone_t *z)
{
    int64_t                   oldest, newest;
    uint32_t                  i, next, *bucket;
    ngx_uint_t                sessions, dropped;
    ngx_http_atls_kept_t     *kept;
    ngx_http_atls_table_t    *table;
    ngx_http_atls_session_t  *session;

    table = z->table;

    ngx_http_atls_table_init(table);

    dropped = ngx_http_atls_table_mark(table);

    i = ngx_http_atls_table_collect(table, &oldest, &newest);
    i = ngx_http_atls_table_sort(table, i, oldest, newest);

    sessions = 0;

    for ( /* void */ ; i; i = next) {
        session = ngx_http_atls_table_session(table, i);
        next = session->next;

        bucket = ngx_http_atls_table_bucket(table, session->id);
        session->next = *bucket;
        *bucket = i;

        ngx_queue_insert_head(&table->queues[session->kind], &session->queue);
        table->count[session->kind]++;

        if (session->kept.first) {
            kept = ngx_http_atls_table_kept(session);

            kept->session = session;
            ngx_queue_insert_head(&table->kept, &kept->queue);
        }

        sessions++;
    }

    ngx_http_atls_table_balance(table, sessions);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "atls_zone \"%V\" repaired after process %P died while "
                  "updating it: %ui sessions, %ui entries dropped",
                  &z->zone->shm.name, table->changing, sessions, dropped);
}


/* Marks pieces that belong to sessions, and frees all others. */

static ngx_uint_t
ngx_http_atls_table_mark(ngx_http_atls_table_t *table)
{
    uint32_t                  i;
    ngx_uint_t                n;
    ngx_http_atls_entry_t    *entry;
    ngx_http_atls_session_t  *session;

    for (i = 0; i < table->touched; i++) {
        entry = &table->entries[i];

        if (ngx_http_atls_is_piece(entry->kind)) {
            entry->piece.marked = 0;
        }
    }

    for (i = 0; i < table->touched; i++) {
        session = &table->entries[i].session;

        if (!ngx_http_atls_is_session(session->kind)) {
            continue;
        }

        ngx_http_atls_table_mark_pieces(table, session->pending.first);
        ngx_http_atls_table_mark_pieces(table, session->identity.first);
        ngx_http_atls_table_mark_pieces(table, session->kept.first);

        if (session->sni_len > NGX_HTTP_ATLS_SNI_LEN) {
            ngx_http_atls_table_mark_pieces(table, session->sni.piece);
        }
    }

    n = 0;

    for (i = 0; i < table->touched; i++) {
        entry = &table->entries[i];

        if (ngx_http_atls_is_session(entry->kind)) {
            continue;
        }

        if (entry->kind == ngx_http_atls_free) {
            ngx_http_atls_table_set_free(table, i);

        } else if (entry->kind == ngx_http_atls_raw || !entry->piece.marked) {
            ngx_http_atls_table_free(table, entry);
            n++;
        }
    }

    return n;
}


static void
ngx_http_atls_table_mark_pieces(ngx_http_atls_table_t *table,
    ngx_http_atls_piece_t *piece)
{
    for ( /* void */ ; piece; piece = piece->next) {
        piece->marked = 1;
        table->count[piece->kind]++;
    }
}


/* Links all sessions into a list, and finds the range of their times. */

static uint32_t
ngx_http_atls_table_collect(ngx_http_atls_table_t *table, int64_t *oldest,
    int64_t *newest)
{
    uint32_t                  i, list;
    ngx_http_atls_session_t  *session;

    list = 0;
    *oldest = INT64_MAX;
    *newest = 0;

    for (i = 1; i <= table->touched; i++) {
        session = ngx_http_atls_table_session(table, i);

        if (ngx_http_atls_is_session(session->kind)) {
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
ngx_http_atls_table_sort(ngx_http_atls_table_t *table, uint32_t list,
    int64_t oldest, int64_t newest)
{
    uint32_t                  i, n, next, *bucket;
    ngx_uint_t                bits, shift;
    ngx_http_atls_session_t  *session;

    for (bits = 0; table->mask >> bits; bits++) { /* void */ }

    shift = NGX_HTTP_ATLS_SORT_SHIFT;

    for ( /* void */ ; list && (newest - oldest) >> shift; shift += bits) {

        for (i = list; i; i = next) {
            session = ngx_http_atls_table_session(table, i);
            next = session->next;

            bucket = &table->buckets[((session->used - oldest) >> shift)
                                     & table->mask];
            session->next = *bucket;
            *bucket = i;
        }

        list = 0;

        for (n = table->mask + 1; n--; /* void */ ) {

            for (i = table->buckets[n]; i; i = next) {
                session = ngx_http_atls_table_session(table, i);
                next = session->next;

                session->next = list;
                list = i;
            }

            table->buckets[n] = 0;
        }
    }

    return list;
}


/* A session may have been added or removed without being counted. */

static void
ngx_http_atls_table_balance(ngx_http_atls_table_t *table, uint64_t sessions)
{
    uint64_t    ended;
    ngx_uint_t  i;

    ended = 0;

    for (i = 0; i < ngx_http_atls_endings; i++) {
        ended += table->ended[i];
    }

    if (table->started < ended + sessions) {
        table->started = ended + sessions;

    } else {
        table->ended[ngx_http_atls_ending_lost] += table->started - ended
                                                   - sessions;
    }
}
