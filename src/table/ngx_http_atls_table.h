
/*
 * The table of sessions: entries of the same size, which are sessions or pieces
 * of their data.  For src/table only.
 *
 * A process may die at any instruction without affecting the others.  So the
 * essential data are words in the entries, each valid at any time: the kind of
 * an entry, the owner of a session, its first piece.  Buckets, queues, counters
 * and the bitmap of free entries are derived from them, and rebuilt if a
 * process died while updating them.
 *
 * All functions except those which create and lock the table must be called
 * with the lock held.
 */


#ifndef _NGX_HTTP_ATLS_TABLE_H_INCLUDED_
#define _NGX_HTTP_ATLS_TABLE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"


#define NGX_HTTP_ATLS_ENTRY     512
#define NGX_HTTP_ATLS_KEY_LEN   32
#define NGX_HTTP_ATLS_LEVELS    7              /* 32 entries or words each */
#define NGX_HTTP_ATLS_PIECE     (NGX_HTTP_ATLS_ENTRY - 2 * sizeof(uint32_t)   \
                                 - sizeof(void *))


/* Kinds of sessions that only their owner can continue. */

#define ngx_http_atls_is_owned(kind)                                          \
    ((kind) >= ngx_http_atls_handshaking && (kind) < ngx_http_atls_kinds      \
     && ((kind) < ngx_http_atls_idle || (kind) > ngx_http_atls_idle_record))


struct ngx_http_atls_piece_s {
    uint32_t                    kind;
    uint32_t                    marked;        /* used in repair */
    ngx_http_atls_piece_t      *next;
    u_char                      data[NGX_HTTP_ATLS_PIECE];
};


/*
 * The data of pieces with the last response begin with this.  They are in a
 * queue of all sessions, and are freed first if there is no free entry.
 */

typedef struct {
    ngx_queue_t                 queue;
    ngx_http_atls_session_t    *session;
    ngx_http_atls_print_t       print;
    unsigned                    created:1;     /* it was the first POST */
    unsigned                    awaited:1;     /* the POST is a poll */
    unsigned                    whole:1;       /* 0: it is too long */
} ngx_http_atls_kept_t;


typedef union {
    uint32_t                    kind;          /* first in all of them */
    ngx_http_atls_session_t     session;
    ngx_http_atls_piece_t       piece;
} ngx_http_atls_entry_t;


typedef struct {
    ngx_uint_t                  layout;
    size_t                      entry_size;

    ngx_pid_t                   changing;      /* process changing it, or 0 */

    ngx_http_atls_entry_t      *entries;
    uint32_t                    nentries;
    uint32_t                    touched;       /* number of used entries; the
                                                  rest was never written */

    /* bitmap of free entries; in upper levels, of words that are not zero */

    uint32_t                   *map[NGX_HTTP_ATLS_LEVELS];
    ngx_uint_t                  levels;
    ngx_uint_t                  map_size;      /* total words of all levels */

    ngx_uint_t                  count[ngx_http_atls_kinds];
    ngx_queue_t                 queues[ngx_http_atls_kinds];
    ngx_queue_t                 kept;          /* responses, oldest last */

    /* shares in entries, see ngx_http_atls_table_room() */

    ngx_uint_t                  half_open_share;
    ngx_uint_t                  record_share;
    ngx_uint_t                  stranger_share;

    uint64_t                    started;       /* sessions */
    uint64_t                    ended[ngx_http_atls_endings];
    uint64_t                    evicted[ngx_http_atls_kinds];
    uint64_t                    reported[ngx_http_atls_kinds];
    int64_t                     report;        /* time of the last report */
    int64_t                     full;          /* the last "full" message */

    u_char                      key[NGX_HTTP_ATLS_KEY_LEN];   /* for tags */
    ngx_atomic_t                foreign;       /* POSTs with a foreign tag */
    ngx_atomic_uint_t           foreign_reported;
    int64_t                     foreign_report;

    ngx_http_atls_tickets_t    *tickets;

    /* sessions lost with their worker: the first bytes of their ids, a ring */

    uint32_t                   *lost;
    ngx_uint_t                  lost_size;
    ngx_uint_t                  nlost;         /* in total */

    uint32_t                    mask;          /* number of buckets - 1 */
    uint32_t                    buckets[1];    /* index of an entry; 0: none */
} ngx_http_atls_table_t;


/* A zone, in the memory of a process. */

typedef struct {
    ngx_http_atls_table_t      *table;
    ngx_slab_pool_t            *shpool;
    ngx_shm_zone_t             *zone;
    u_char                     *tag_key;       /* shared by machines; or NULL */
    u_char                     *number;        /* of this machine */
    ngx_log_t                  *log;           /* for sessions that end while
                                                  it is locked; NULL: those of
                                                  their locations */
} ngx_http_atls_zone_t;


/*
 * Creates the table of a new zone in the remaining memory of z->shpool.
 * NGX_ERROR, logged: not enough memory, or no random numbers.
 */

ngx_int_t ngx_http_atls_table_create(ngx_http_atls_zone_t *z);

/* Whether a table of another version of the module can be used. */

ngx_uint_t ngx_http_atls_table_known(ngx_http_atls_table_t *table);

/*
 * Locks the table, and repairs it if the last owner of the lock has died.
 * Sessions removed in between are logged when the lock is released.
 */

void ngx_http_atls_table_lock(ngx_http_atls_zone_t *z);
void ngx_http_atls_table_unlock(ngx_http_atls_zone_t *z);

/*
 * Makes room for one more entry of the kind, by evicting sessions if necessary.
 * NGX_BUSY: no room.
 */

ngx_int_t ngx_http_atls_table_room(ngx_http_atls_table_t *table,
    ngx_http_atls_kind_e kind);

/*
 * Allocates a raw entry; setting its kind makes it a session, or a piece once
 * it belongs to a session.  NULL: there is none.
 */

void *ngx_http_atls_table_alloc(ngx_http_atls_table_t *table);

/* Makes a raw entry a session. */

void ngx_http_atls_table_add(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind);

/* Changes the kind of a session. */

void ngx_http_atls_table_move(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session, ngx_http_atls_kind_e kind);

/* Wipes a session and all its pieces, and frees them; counts the reason. */

void ngx_http_atls_table_remove(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session, ngx_http_atls_ending_e reason);

/*
 * Removes a session whose owner has exited, and remembers it for a while.  The
 * second function tells whether a session that does not exist is one of these;
 * it may be wrong.
 */

void ngx_http_atls_table_lose(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session);
ngx_uint_t ngx_http_atls_table_is_lost(ngx_http_atls_table_t *table,
    u_char *id);

/*
 * Allocates a list of pieces for len bytes; NULL: no room.  The list must be
 * assigned to a session before the lock is released.
 */

ngx_http_atls_piece_t *ngx_http_atls_table_pieces(ngx_http_atls_table_t *table,
    ngx_http_atls_kind_e kind, size_t len);

/* Wipes and frees a list of pieces that is no longer referenced. */

void ngx_http_atls_table_free_pieces(ngx_http_atls_table_t *table,
    ngx_http_atls_piece_t *piece);

/* The number of entries that are free, or can be freed: those of responses. */

ngx_uint_t ngx_http_atls_table_spare(ngx_http_atls_table_t *table);

/* Frees the response that is kept with a session. */

void ngx_http_atls_table_forget(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session);

ngx_http_atls_session_t *ngx_http_atls_table_find(ngx_http_atls_table_t *table,
    u_char *id);


#define ngx_http_atls_table_kept(session)                                     \
    ((ngx_http_atls_kept_t *) (session)->kept.first->data)

#define ngx_http_atls_table_last(table, kind)                                 \
    (ngx_queue_empty(&(table)->queues[kind])                                  \
     ? NULL : ngx_queue_data(ngx_queue_last(&(table)->queues[kind]),          \
                             ngx_http_atls_session_t, queue))


#endif /* _NGX_HTTP_ATLS_TABLE_H_INCLUDED_ */
