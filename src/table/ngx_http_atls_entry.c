
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_entry.h"


/* The maximum number of entries in a share, as large zones do not need 1/8. */

#define NGX_HTTP_ATLS_MAX_SHARE  8192

#define NGX_HTTP_ATLS_MIN_HALF_OPEN  8

/* number of pieces for the largest record */

#define NGX_HTTP_ATLS_RECORD_PIECES                                           \
    ((TRL_MAX_RECORD + NGX_HTTP_ATLS_PIECE - 1) / NGX_HTTP_ATLS_PIECE)


static void ngx_http_atls_entries_rebuild(ngx_http_atls_entries_t *entries);
static ngx_http_atls_lack_e ngx_http_atls_entries_limit(
    ngx_http_atls_entries_t *entries, ngx_http_atls_share_e share,
    ngx_uint_t n);
static uint32_t ngx_http_atls_entries_first(ngx_http_atls_entries_t *entries);
static void ngx_http_atls_entries_set_free(ngx_http_atls_entries_t *entries,
    uint32_t i);
static void ngx_http_atls_entries_set_used(ngx_http_atls_entries_t *entries,
    uint32_t i);


size_t
ngx_http_atls_entries_map_size(size_t n)
{
    size_t  size;

    size = 0;

    do {
        n = (n + 31) / 32;
        size += n;

    } while (n > 1);

    return size;
}


/*
 * The remaining memory is a single block.  The slab allocator is not used
 * afterwards, since it would be corrupted by a process that dies in it.  Pages
 * are not written to before they are used.
 */

ngx_int_t
ngx_http_atls_entries_create(ngx_http_atls_entries_t *entries,
    ngx_slab_pool_t *shpool, uint32_t *map, size_t max)
{
    ngx_uint_t  n;

    entries->mutex = &shpool->mutex;
    entries->map_size = ngx_http_atls_entries_map_size(max);

    do {
        max = (max + 31) / 32;

        entries->map[entries->levels++] = map;
        map += max;

    } while (max > 1);

    shpool->log_nomem = 0;

    for (n = shpool->pfree; n && entries->all == NULL; n--) {
        entries->all = ngx_slab_alloc(shpool, n * ngx_pagesize);
        entries->n = n * ngx_pagesize / sizeof(ngx_http_atls_entry_t);
    }

    if (entries->all == NULL) {
        return NGX_ERROR;
    }

    n = entries->n;

    entries->half_open = ngx_min(n / 8, NGX_HTTP_ATLS_MAX_SHARE);
    entries->half_open = ngx_max(entries->half_open,
                                 ngx_min(n / 4, NGX_HTTP_ATLS_MIN_HALF_OPEN));

    entries->record = ngx_min(n / 16, NGX_HTTP_ATLS_MAX_SHARE);
    entries->record = ngx_max(entries->record,
                              ngx_min(n / 8, NGX_HTTP_ATLS_RECORD_PIECES));

    entries->stranger = n / 4;

    ngx_http_atls_entries_rebuild(entries);

    return NGX_OK;
}


void
ngx_http_atls_entries_lock(ngx_http_atls_entries_t *entries)
{
    ngx_shmtx_lock(entries->mutex);

    if (entries->changing) {
        ngx_http_atls_entries_rebuild(entries);
    }

    entries->changing = ngx_pid;
    ngx_memory_barrier();
}


void
ngx_http_atls_entries_unlock(ngx_http_atls_entries_t *entries)
{
    ngx_memory_barrier();
    entries->changing = 0;

    ngx_shmtx_unlock(entries->mutex);
}


/*
 * Called after a process died with the lock held, at any instruction; it may
 * be interrupted and repeated.  Whether an entry is free, and its share, are
 * only changed with the lock held.
 */

static void
ngx_http_atls_entries_rebuild(ngx_http_atls_entries_t *entries)
{
    uint32_t                i;
    ngx_http_atls_piece_t  *entry;

    ngx_memzero(entries->used, sizeof(entries->used));
    ngx_memzero(entries->map[0], entries->map_size * sizeof(uint32_t));

    entries->nfree = 0;

    for (i = 0; i < entries->n; i++) {
        entry = &entries->all[i].piece;

        if (i < entries->touched && entry->kind != ngx_http_atls_free) {
            entries->used[entry->share]++;

        } else {
            ngx_http_atls_entries_set_free(entries, i);
        }
    }
}


ngx_http_atls_lack_e
ngx_http_atls_entries_lack(ngx_http_atls_entries_t *entries,
    ngx_http_atls_share_e share, ngx_uint_t n)
{
    ngx_http_atls_lack_e  lack;

    ngx_http_atls_entries_lock(entries);

    lack = ngx_http_atls_entries_limit(entries, share, n);

    if (lack == ngx_http_atls_lack_none && n > entries->nfree) {

        /* responses are not freed in vain */

        lack = n > entries->nfree + entries->used[ngx_http_atls_share_kept]
               ? ngx_http_atls_lack_all : ngx_http_atls_lack_entry;
    }

    ngx_http_atls_entries_unlock(entries);

    return lack;
}


static ngx_http_atls_lack_e
ngx_http_atls_entries_limit(ngx_http_atls_entries_t *entries,
    ngx_http_atls_share_e share, ngx_uint_t n)
{
    ngx_uint_t  all, established, *used;

    used = entries->used;

    all = entries->n - entries->half_open;
    established = used[ngx_http_atls_share_established]
                  + used[ngx_http_atls_share_stranger];

    switch (share) {

    case ngx_http_atls_share_half_open:

        return used[share] + n > entries->half_open
               ? ngx_http_atls_lack_half_open : ngx_http_atls_lack_none;

    case ngx_http_atls_share_record:

        return used[share] + n > entries->record
               && used[share] + established + n > all
               ? ngx_http_atls_lack_record : ngx_http_atls_lack_none;

    case ngx_http_atls_share_stranger:

        if (used[share] + n > entries->stranger) {
            return ngx_http_atls_lack_stranger;
        }

        /* fall through */

    case ngx_http_atls_share_established:

        if (established + n > all - entries->record) {
            return ngx_http_atls_lack_established;
        }

        return established + used[ngx_http_atls_share_record] + n > all
               ? ngx_http_atls_lack_record : ngx_http_atls_lack_none;

    default: /* ngx_http_atls_share_kept */

        return ngx_http_atls_lack_none;
    }
}


ngx_http_atls_piece_t *
ngx_http_atls_entries_alloc(ngx_http_atls_entries_t *entries, ngx_uint_t shard,
    ngx_http_atls_share_e share, ngx_uint_t n)
{
    uint32_t                i;
    ngx_http_atls_piece_t  *entry, *first, **next;

    first = NULL;
    next = &first;

    ngx_http_atls_entries_lock(entries);

    if (n > entries->nfree
        || ngx_http_atls_entries_limit(entries, share, n)
           != ngx_http_atls_lack_none)
    {
        n = 0;
    }

    while (n--) {
        i = ngx_http_atls_entries_first(entries);
        entry = &entries->all[i].piece;

        entry->share = share;
        entry->shard = shard;
        entry->next = NULL;

        ngx_memory_barrier();
        entry->kind = ngx_http_atls_raw;

        ngx_http_atls_entries_set_used(entries, i);
        entries->used[share]++;

        if (i >= entries->touched) {
            ngx_memory_barrier();
            entries->touched = i + 1;
        }

        *next = entry;
        next = &entry->next;
    }

    ngx_http_atls_entries_unlock(entries);

    return first;
}


/* Entries are wiped without the lock, and before their kind is written. */

void
ngx_http_atls_entries_free(ngx_http_atls_entries_t *entries,
    ngx_http_atls_piece_t *list)
{
    ngx_http_atls_piece_t  *entry, *next;

    if (list == NULL) {
        return;
    }

    for (entry = list; entry; entry = entry->next) {
        entry->kind = ngx_http_atls_raw;
        ngx_memory_barrier();

        entry->marked = 0;
        ngx_explicit_memzero(entry->data, NGX_HTTP_ATLS_PIECE);
    }

    ngx_http_atls_entries_lock(entries);

    for (entry = list; entry; entry = next) {
        next = entry->next;
        entry->next = NULL;

        ngx_memory_barrier();
        entry->kind = ngx_http_atls_free;

        entries->used[entry->share]--;
        ngx_http_atls_entries_set_free(entries,
                                       (ngx_http_atls_entry_t *) entry
                                       - entries->all);
    }

    ngx_http_atls_entries_unlock(entries);
}


ngx_int_t
ngx_http_atls_entries_move(ngx_http_atls_entries_t *entries,
    ngx_http_atls_session_t *session, ngx_http_atls_share_e share)
{
    ngx_int_t  rc;

    rc = NGX_BUSY;

    ngx_http_atls_entries_lock(entries);

    if (share == ngx_http_atls_share_half_open
        || ngx_http_atls_entries_limit(entries, share, 1)
           == ngx_http_atls_lack_none)
    {
        entries->used[session->share]--;
        entries->used[share]++;
        session->share = share;

        rc = NGX_OK;
    }

    ngx_http_atls_entries_unlock(entries);

    return rc;
}


/* The first free entry, to keep entries in use close together. */

static uint32_t
ngx_http_atls_entries_first(ngx_http_atls_entries_t *entries)
{
    uint32_t    i;
    ngx_uint_t  level;

    i = 0;

    for (level = entries->levels; level--; /* void */ ) {
        i = i * 32 + ffs((int) entries->map[level][i]) - 1;
    }

    return i;
}


static void
ngx_http_atls_entries_set_free(ngx_http_atls_entries_t *entries, uint32_t i)
{
    uint32_t    *word, last;
    ngx_uint_t   level;

    entries->nfree++;

    for (level = 0; level < entries->levels; level++) {
        word = &entries->map[level][i / 32];
        last = *word;

        *word |= (uint32_t) 1 << i % 32;

        if (last) {
            return;
        }

        i /= 32;
    }
}


static void
ngx_http_atls_entries_set_used(ngx_http_atls_entries_t *entries, uint32_t i)
{
    uint32_t    *word;
    ngx_uint_t   level;

    entries->nfree--;

    for (level = 0; level < entries->levels; level++) {
        word = &entries->map[level][i / 32];

        *word &= ~((uint32_t) 1 << i % 32);

        if (*word) {
            return;
        }

        i /= 32;
    }
}
