
/*
 * The table of sessions: entries of the same size, which are sessions or pieces
 * of their data.  For src/table only.
 *
 * The table consists of shards, each with a lock.  The id of a session selects
 * its shard.
 *
 * A process may die at any instruction without affecting the others.  So the
 * essential data are words in the entries, each valid at any time: the kind of
 * an entry, the owner of a session, its first piece.  Buckets, queues and
 * counters of a shard are derived from them, and rebuilt if a process died
 * while updating them, see ngx_http_atls_table_repair.h.
 */


#ifndef _NGX_HTTP_ATLS_TABLE_H_INCLUDED_
#define _NGX_HTTP_ATLS_TABLE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_entry.h"
#include "ngx_http_atls_session.h"


#define NGX_HTTP_ATLS_KEY_LEN   32


/* Kinds of sessions that only their owner can continue. */

#define ngx_http_atls_is_owned(kind)                                          \
    ((kind) >= ngx_http_atls_handshaking && (kind) < ngx_http_atls_kinds      \
     && ((kind) < ngx_http_atls_idle || (kind) > ngx_http_atls_idle_record))


struct ngx_http_atls_shard_s {
    ngx_http_atls_entries_t    *entries;
    ngx_uint_t                  number;
    ngx_pid_t                   changing;      /* process changing it, or 0 */

    uint32_t                   *buckets;       /* index of an entry; 0: none */
    uint32_t                    mask;          /* number of buckets - 1 */

    ngx_uint_t                  count[ngx_http_atls_kinds];
    ngx_queue_t                 queues[ngx_http_atls_kinds];
                                               /* the most recently used first;
                                                  of pieces, only responses */

    uint64_t                    started;       /* sessions */
    uint64_t                    ended[ngx_http_atls_endings];
    uint64_t                    evicted[ngx_http_atls_kinds];

    /* sessions lost with their worker: the first bytes of their ids, a ring */

    uint32_t                   *lost;
    ngx_uint_t                  lost_size;
    ngx_uint_t                  nlost;         /* in total */
};


typedef struct {
    ngx_uint_t                  layout;
    size_t                      entry_size;

    ngx_http_atls_entries_t     entries;

    ngx_http_atls_shard_t      *shards;
    ngx_uint_t                  nshards;       /* a power of two */

    u_char                      key[NGX_HTTP_ATLS_KEY_LEN];   /* for tags */
    ngx_http_atls_tickets_t    *tickets;

    /* messages of all processes, changed with the lock of the zone held */

    uint64_t                    reported[ngx_http_atls_kinds];
    int64_t                     report;        /* time of the last report */
    int64_t                     full;          /* the last "full" message */
    ngx_atomic_t                foreign;       /* POSTs with a foreign tag */
    ngx_atomic_uint_t           foreign_reported;
    int64_t                     foreign_report;
} ngx_http_atls_table_t;


/* A zone, in the memory of a process. */

struct ngx_http_atls_zone_s {
    ngx_http_atls_table_t      *table;
    ngx_slab_pool_t            *shpool;
    ngx_shm_zone_t             *zone;
    u_char                     *tag_key;       /* shared by machines; or NULL */
    u_char                     *number;        /* of this machine */

    /*
     * The locks of shards are those of other zones, since the master process
     * unlocks only locks of zones if a worker process dies.
     */

    ngx_shm_zone_t            **locks;
    ngx_uint_t                  nlocks;

    ngx_uint_t                  turn;          /* the shard to begin with */
    ngx_log_t                  *log;           /* for sessions that end while
                                                  it is locked; NULL: those of
                                                  their locations */
};


/* The number of shards of a zone. */

ngx_uint_t ngx_http_atls_table_shards(size_t size);

/*
 * Creates the table of a new zone in the remaining memory of z->shpool.
 * NGX_ERROR, logged: not enough memory, or no random numbers.
 */

ngx_int_t ngx_http_atls_table_create(ngx_http_atls_zone_t *z);

/* Whether a table of another version of the module can be used. */

ngx_uint_t ngx_http_atls_table_known(ngx_http_atls_table_t *table);

/*
 * Locks a shard, and repairs it if the last owner of its lock has died.
 * Sessions removed in between are logged when the lock is released.  At most
 * one shard is locked at a time.
 */

ngx_http_atls_shard_t *ngx_http_atls_table_lock(ngx_http_atls_zone_t *z,
    u_char *id);
ngx_http_atls_shard_t *ngx_http_atls_table_lock_shard(ngx_http_atls_zone_t *z,
    ngx_uint_t number);
void ngx_http_atls_table_unlock(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard);

/*
 * Called by a process that replaces another one, which may have crashed in
 * core: after unlocking a mutex, and before waking up a process that waits.
 */

void ngx_http_atls_table_wake(ngx_http_atls_zone_t *z);

/* What an entry of a kind is counted as. */

ngx_http_atls_share_e ngx_http_atls_table_share(ngx_http_atls_kind_e kind);

/* The following functions are called with the lock held. */

ngx_http_atls_session_t *ngx_http_atls_table_find(ngx_http_atls_shard_t *shard,
    u_char *id);

/* Makes a raw entry a session. */

void ngx_http_atls_table_add(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind);

/* Changes the kind of a session. */

void ngx_http_atls_table_move(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind);

/* Wipes a session and all its pieces, and frees them; counts the reason. */

void ngx_http_atls_table_remove(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session, ngx_http_atls_ending_e reason);

/*
 * Removes a session whose owner has exited, and remembers it for a while.  The
 * second function tells whether a session that does not exist is one of these;
 * it may be wrong.
 */

void ngx_http_atls_table_lose(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session);
ngx_uint_t ngx_http_atls_table_is_lost(ngx_http_atls_shard_t *shard,
    u_char *id);

/* Wipes and frees a list of pieces that is no longer referenced. */

void ngx_http_atls_table_free_pieces(ngx_http_atls_shard_t *shard,
    ngx_http_atls_piece_t *piece);

/* Frees the response that is kept with a session. */

void ngx_http_atls_table_forget(ngx_http_atls_shard_t *shard,
    ngx_http_atls_session_t *session);


/* indexes of entries start from 1 */

#define ngx_http_atls_table_session(shard, index)                             \
    (&(shard)->entries->all[(index) - 1].session)

#define ngx_http_atls_table_bucket(shard, id)                                 \
    (&(shard)->buckets[ngx_http_atls_table_hash(id) & (shard)->mask])

#define ngx_http_atls_table_kept(session)                                     \
    ((ngx_http_atls_kept_t *) (session)->kept.first->data)

#define ngx_http_atls_table_last(shard, kind)                                 \
    (ngx_queue_empty(&(shard)->queues[kind])                                  \
     ? NULL : ngx_queue_data(ngx_queue_last(&(shard)->queues[kind]),          \
                             ngx_http_atls_session_t, queue))


/* Ids are random.  The first byte selects the shard. */

static ngx_inline uint32_t
ngx_http_atls_table_hash(u_char *id)
{
    uint32_t  n;

    ngx_memcpy(&n, id + 1, sizeof(uint32_t));

    return n;
}


#endif /* _NGX_HTTP_ATLS_TABLE_H_INCLUDED_ */
