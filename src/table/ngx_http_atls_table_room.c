
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_entry.h"
#include "ngx_http_atls_table.h"
#include "ngx_http_atls_table_room.h"


/* Shards that are compared to find the least recently used session. */

#define NGX_HTTP_ATLS_COMPARED  8


static ngx_int_t ngx_http_atls_table_room(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, ngx_http_atls_share_e share, ngx_uint_t n);
static ngx_int_t ngx_http_atls_table_evict(ngx_http_atls_zone_t *z,
    const ngx_http_atls_kind_e *kinds);
static ngx_http_atls_session_t *ngx_http_atls_table_victim(
    ngx_http_atls_shard_t *shard, const ngx_http_atls_kind_e *kinds,
    int64_t *used);
static ngx_http_atls_piece_t *ngx_http_atls_table_entries(
    ngx_http_atls_zone_t *z, ngx_http_atls_shard_t *shard,
    ngx_http_atls_share_e share, ngx_uint_t n);


/*
 * Kinds to evict, starting with the least recently used session; if there is
 * none, those of the next line.
 */

static const ngx_http_atls_kind_e  ngx_http_atls_victims[][2][4] = {

    /* ngx_http_atls_lack_none */
    { { ngx_http_atls_free }, { ngx_http_atls_free } },

    /* ngx_http_atls_lack_half_open */
    { { ngx_http_atls_half_open }, { ngx_http_atls_free } },

    /* ngx_http_atls_lack_stranger */
    { { ngx_http_atls_idle_stranger }, { ngx_http_atls_free } },

    /* ngx_http_atls_lack_established */
    { { ngx_http_atls_idle, ngx_http_atls_idle_stranger,
        ngx_http_atls_idle_record },
      { ngx_http_atls_resident, ngx_http_atls_resident_record } },

    /* ngx_http_atls_lack_record */
    { { ngx_http_atls_idle_record, ngx_http_atls_resident_record },
      { ngx_http_atls_free } },

    /* ngx_http_atls_lack_entry: only the response, also of a busy session */
    { { ngx_http_atls_kept }, { ngx_http_atls_free } },

    /* ngx_http_atls_lack_all */
    { { ngx_http_atls_free }, { ngx_http_atls_free } }
};


/*
 * Called with the lock of the shard held, and releases it in between: only one
 * shard is locked at a time.  NGX_BUSY: there is nothing to evict.
 */

static ngx_int_t
ngx_http_atls_table_room(ngx_http_atls_zone_t *z, ngx_http_atls_shard_t *shard,
    ngx_http_atls_share_e share, ngx_uint_t n)
{
    ngx_int_t             rc;
    ngx_http_atls_lack_e  lack;

    ngx_http_atls_table_unlock(z, shard);

    do {
        rc = NGX_OK;
        lack = ngx_http_atls_entries_lack(shard->entries, share, n);

        if (lack != ngx_http_atls_lack_none) {
            rc = ngx_http_atls_table_evict(z, ngx_http_atls_victims[lack][0]);

            if (rc == NGX_BUSY) {
                rc = ngx_http_atls_table_evict(z,
                                               ngx_http_atls_victims[lack][1]);
            }
        }

    } while (rc == NGX_OK && lack != ngx_http_atls_lack_none);

    (void) ngx_http_atls_table_lock_shard(z, shard->number);

    return rc;
}


/*
 * Evicts the least recently used session of some shards, not counting those
 * without a session of the kinds.  Each shard has its turn to be the first one,
 * since the times may be the same.
 */

static ngx_int_t
ngx_http_atls_table_evict(ngx_http_atls_zone_t *z,
    const ngx_http_atls_kind_e *kinds)
{
    int64_t                   used, oldest;
    ngx_uint_t                i, n, number, mask;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    if (kinds[0] == ngx_http_atls_free) {
        return NGX_BUSY;
    }

    n = 0;
    number = 0;
    used = 0;
    oldest = 0;

    z->turn++;
    mask = z->table->nshards - 1;

    for (i = 0; i <= mask && n < NGX_HTTP_ATLS_COMPARED; i++) {

        shard = ngx_http_atls_table_lock_shard(z, (z->turn + i) & mask);
        session = ngx_http_atls_table_victim(shard, kinds, &used);
        ngx_http_atls_table_unlock(z, shard);

        if (session && (n++ == 0 || used < oldest)) {
            oldest = used;
            number = shard->number;
        }
    }

    if (n == 0) {
        return NGX_BUSY;
    }

    shard = ngx_http_atls_table_lock_shard(z, number);
    session = ngx_http_atls_table_victim(shard, kinds, &used);

    if (session && kinds[0] == ngx_http_atls_kept) {
        ngx_http_atls_table_forget(shard, session);

    } else if (session) {
        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "atls %08xD evict, kind:%d",
                       ngx_http_atls_label(session->id, ngx_cycle->log),
                       session->kind);

        shard->evicted[session->kind]++;
        ngx_http_atls_table_remove(shard, session,
                                   ngx_http_atls_ending_evicted);
    }

    ngx_http_atls_table_unlock(z, shard);

    return NGX_OK;
}


static ngx_http_atls_session_t *
ngx_http_atls_table_victim(ngx_http_atls_shard_t *shard,
    const ngx_http_atls_kind_e *kinds, int64_t *used)
{
    ngx_queue_t              *queue;
    ngx_http_atls_kept_t     *kept;
    ngx_http_atls_session_t  *session, *victim;

    queue = &shard->queues[ngx_http_atls_kept];

    if (kinds[0] == ngx_http_atls_kept) {

        if (ngx_queue_empty(queue)) {
            return NULL;
        }

        kept = ngx_queue_data(ngx_queue_last(queue), ngx_http_atls_kept_t,
                              queue);

        /* anybody can start handshakes: see ngx_http_atls_session_keep() */

        *used = kept->session->established ? kept->session->used : 0;

        return kept->session;
    }

    victim = NULL;

    for ( /* void */ ; *kinds != ngx_http_atls_free; kinds++) {
        session = ngx_http_atls_table_last(shard, *kinds);

        if (session && (victim == NULL || session->used < *used)) {
            victim = session;
            *used = session->used;
        }
    }

    return victim;
}


ngx_http_atls_session_t *
ngx_http_atls_table_alloc(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, u_char *id, ngx_http_atls_kind_e kind)
{
    ngx_http_atls_piece_t    *entry;
    ngx_http_atls_session_t  *session;

    entry = ngx_http_atls_table_entries(z, shard,
                                        ngx_http_atls_table_share(kind), 1);
    if (entry == NULL) {
        return NULL;
    }

    session = (ngx_http_atls_session_t *) entry;

    /* another process may have added it in between */

    if (ngx_http_atls_table_find(shard, id)) {
        ngx_http_atls_entries_free(shard->entries, entry);
        return NULL;
    }

    ngx_memzero(&session->next, sizeof(ngx_http_atls_session_t)
                                - offsetof(ngx_http_atls_session_t, next));

    ngx_memcpy(session->id, id, NGX_HTTP_ATLS_ID_LEN);

    return session;
}


static ngx_http_atls_piece_t *
ngx_http_atls_table_entries(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, ngx_http_atls_share_e share, ngx_uint_t n)
{
    ngx_http_atls_piece_t  *entry;

    do {
        entry = ngx_http_atls_entries_alloc(shard->entries, shard->number,
                                            share, n);
    } while (entry == NULL
             && ngx_http_atls_table_room(z, shard, share, n) == NGX_OK);

    return entry;
}


ngx_int_t
ngx_http_atls_table_establish(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, ngx_http_atls_session_t *session)
{
    ngx_http_atls_share_e  share;

    share = ngx_http_atls_share_established;

    /* with a slow response to early data, it is counted already */

    while (session->share != share
           && ngx_http_atls_entries_move(shard->entries, session, share)
              != NGX_OK)
    {
        if (ngx_http_atls_table_room(z, shard, share, 1) != NGX_OK) {
            return NGX_BUSY;
        }
    }

    return NGX_OK;
}


ngx_http_atls_piece_t *
ngx_http_atls_table_pieces(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, ngx_http_atls_kind_e kind, size_t len)
{
    ngx_uint_t              n;
    ngx_http_atls_piece_t  *first, *piece;

    n = (len + NGX_HTTP_ATLS_PIECE - 1) / NGX_HTTP_ATLS_PIECE;

    first = ngx_http_atls_table_entries(z, shard,
                                        ngx_http_atls_table_share(kind), n);
    if (first == NULL) {
        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "atls no room for %uz bytes, kind:%ui",
                       len, (ngx_uint_t) kind);
        return NULL;
    }

    for (piece = first; piece; piece = piece->next) {
        piece->kind = kind;
        shard->count[kind]++;
    }

    return first;
}
