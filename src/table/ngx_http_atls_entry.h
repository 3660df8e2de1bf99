
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The entries of a zone: memory of the same size, used by sessions and by
 * pieces of their data.  For src/table only.
 *
 * All shards of the table use the same entries.  Their lock, that of the zone,
 * is held to allocate and to free them, and not to use them: an entry belongs
 * to its shard until it is freed.  It is acquired last, with the lock of a
 * shard held, or none.
 */


#ifndef _NGX_HTTP_ATLS_ENTRY_H_INCLUDED_
#define _NGX_HTTP_ATLS_ENTRY_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"


#define NGX_HTTP_ATLS_ENTRY     512
#define NGX_HTTP_ATLS_LEVELS    7              /* 32 entries or words each */
#define NGX_HTTP_ATLS_PIECE     (NGX_HTTP_ATLS_ENTRY - 2 * sizeof(uint32_t)   \
                                 - sizeof(void *))


/*
 * What entries are counted as.  Half-open sessions have a reserved share, which
 * is also their maximum.  Pieces of records have a reserved share, and may
 * exceed it while there is free memory.  Pieces with the identity of unverified
 * clients have a maximum share of the memory for established sessions.
 */

typedef enum {
    ngx_http_atls_share_half_open = 0,
    ngx_http_atls_share_established,           /* and pieces of all sessions,
                                                  except the following ones */
    ngx_http_atls_share_stranger,
    ngx_http_atls_share_record,
    ngx_http_atls_share_kept,                  /* freed if there is no entry */

    ngx_http_atls_shares
} ngx_http_atls_share_e;


/* What must be freed first. */

typedef enum {
    ngx_http_atls_lack_none = 0,
    ngx_http_atls_lack_half_open,
    ngx_http_atls_lack_stranger,
    ngx_http_atls_lack_established,
    ngx_http_atls_lack_record,
    ngx_http_atls_lack_entry,                  /* a response */
    ngx_http_atls_lack_all,                    /* nothing: no room even so */

    ngx_http_atls_lacks
} ngx_http_atls_lack_e;


struct ngx_http_atls_piece_s {
    uint8_t                     kind;
    uint8_t                     share;
    uint16_t                    shard;
    uint32_t                    marked;        /* used in repair */
    ngx_http_atls_piece_t      *next;
    u_char                      data[NGX_HTTP_ATLS_PIECE];
};


/*
 * The data of pieces with the last response begin with this.  They are in a
 * queue of all sessions of the shard.
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
    ngx_http_atls_session_t     session;
    ngx_http_atls_piece_t       piece;         /* begins with the same members;
                                                  that of all raw entries */
} ngx_http_atls_entry_t;


typedef struct {
    ngx_shmtx_t                *mutex;
    ngx_pid_t                   changing;      /* process changing it, or 0 */

    ngx_http_atls_entry_t      *all;
    uint32_t                    n;
    uint32_t                    touched;       /* number of used entries; the
                                                  rest was never written */

    /* derived from entries, and rebuilt if a process died in between */

    ngx_uint_t                  nfree;
    ngx_uint_t                  used[ngx_http_atls_shares];

    /* bitmap of free entries; in upper levels, of words that are not zero */

    uint32_t                   *map[NGX_HTTP_ATLS_LEVELS];
    ngx_uint_t                  levels;
    ngx_uint_t                  map_size;      /* total words of all levels */

    /* limits of shares, in entries */

    ngx_uint_t                  half_open;
    ngx_uint_t                  record;
    ngx_uint_t                  stranger;
} ngx_http_atls_entries_t;


/* The words of the bitmap for a number of entries. */

size_t ngx_http_atls_entries_map_size(size_t n);

/*
 * Allocates the remaining memory of the zone.  map: zeroed, for at least as
 * many entries as the memory has.
 */

ngx_int_t ngx_http_atls_entries_create(ngx_http_atls_entries_t *entries,
    ngx_slab_pool_t *shpool, uint32_t *map, size_t max);

/*
 * What is missing to add n entries of the share; this may have changed when
 * they are allocated.
 */

ngx_http_atls_lack_e ngx_http_atls_entries_lack(
    ngx_http_atls_entries_t *entries, ngx_http_atls_share_e share,
    ngx_uint_t n);

/*
 * The following functions are called with the lock of the shard held.
 *
 * Allocates a list of n raw entries; setting its kind makes one a session, or a
 * piece once it belongs to a session.  NULL: no room.
 */

ngx_http_atls_piece_t *ngx_http_atls_entries_alloc(
    ngx_http_atls_entries_t *entries, ngx_uint_t shard,
    ngx_http_atls_share_e share, ngx_uint_t n);

/* Wipes and frees a list of entries, which are no longer referenced. */

void ngx_http_atls_entries_free(ngx_http_atls_entries_t *entries,
    ngx_http_atls_piece_t *entry);

/* Counts a session in another share.  NGX_BUSY: no room. */

ngx_int_t ngx_http_atls_entries_move(ngx_http_atls_entries_t *entries,
    ngx_http_atls_session_t *session, ngx_http_atls_share_e share);

/*
 * While it is locked, no entry is allocated or freed, so that entries of all
 * shards can be examined.
 */

void ngx_http_atls_entries_lock(ngx_http_atls_entries_t *entries);
void ngx_http_atls_entries_unlock(ngx_http_atls_entries_t *entries);


#endif /* _NGX_HTTP_ATLS_ENTRY_H_INCLUDED_ */
