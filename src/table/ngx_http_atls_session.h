
/*
 * The table of sessions in shared memory (atls_zone).
 *
 * A session is half-open (waiting for the client's next flight), idle
 * (established), a resident (established, with an inner request that waits for
 * its rest in a worker) or busy (a POST is in progress, whatever it is
 * otherwise).  A busy session belongs to the worker that took it, which may use
 * it without the lock until it gives it back; nobody else touches or frees it.
 * All other sessions may be freed at any time: only their id may be kept.
 */


#ifndef _NGX_HTTP_ATLS_SESSION_H_INCLUDED_
#define _NGX_HTTP_ATLS_SESSION_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_worker.h"


#define NGX_HTTP_ATLS_ID_LEN        16      /* random bytes */
#define NGX_HTTP_ATLS_TAG_LEN       2       /* says whose they are */
#define NGX_HTTP_ATLS_SNI_LEN       64      /* longer names are kept apart */
#define NGX_HTTP_ATLS_VIEW_LEN      256     /* of a name in a view */


/* What an entry of the table is; see ngx_http_atls_table.h. */

typedef enum {
    ngx_http_atls_free = 0,
    ngx_http_atls_raw,                         /* being made, or wiped */

    /* pieces */

    ngx_http_atls_record,                      /* the start of a record */
    ngx_http_atls_name,                        /* of a server */
    ngx_http_atls_identity,                    /* the client's */
    ngx_http_atls_stranger,                    /* that of one not verified */

    /* sessions; there is a queue of each */

    ngx_http_atls_handshaking,                 /* half-open, with a POST */
    ngx_http_atls_half_open,                   /* between two POSTs */
    ngx_http_atls_busy,                        /* established, with a POST; or
                                                  as good as that */
    ngx_http_atls_idle,
    ngx_http_atls_idle_stranger,               /* the client not verified */
    ngx_http_atls_idle_record,                 /* a record unfinished */
    ngx_http_atls_resident,
    ngx_http_atls_resident_record,             /* likewise */

    ngx_http_atls_kinds
} ngx_http_atls_kind_e;


/* How a session ends, if it does: the largest value that applies. */

typedef enum {
    ngx_http_atls_end_none = 0,                /* it goes on */
    ngx_http_atls_end_closed,                  /* nothing is missing */
    ngx_http_atls_end_cut,                     /* a response may be */
    ngx_http_atls_end_refused                  /* a record of the client's is */
} ngx_http_atls_end_e;


/*
 * Data of variable size are stored in pieces of the size of a session: an
 * evicted session makes room for one piece, wherever it is.
 */

typedef struct ngx_http_atls_piece_s  ngx_http_atls_piece_t;

typedef struct {
    ngx_http_atls_piece_t      *first;
    uint32_t                    len;           /* bytes in all; 0: none */
    uint32_t                    kind;          /* ngx_http_atls_kind_e */
} ngx_http_atls_pieces_t;


struct ngx_http_atls_session_s {
    uint32_t                    kind;          /* ngx_http_atls_kind_e */
    uint32_t                    next;          /* in its bucket */
    ngx_queue_t                 queue;         /* of its kind */

    u_char                      id[NGX_HTTP_ATLS_ID_LEN];
    uint64_t                    endpoint;      /* the location it is for */
    uint64_t                    policy;        /* that let its client in */

    int64_t                     created;       /* by ngx_http_atls_clock() */
    int64_t                     used;          /* likewise; by the client */
    time_t                      timeout;       /* idle, in seconds */
    time_t                      lifetime;      /* in all; what is left of it,
                                                  if resumed */

    uint32_t                    owner;         /* of all but an idle one */
    uint16_t                    slot;          /* the owner's */
    uint16_t                    sni_len;
    uint16_t                    verify_error;  /* X509_V_ERR_*, or X509_V_OK */

    unsigned                    established:1;
    unsigned                    end:2;         /* ngx_http_atls_end_e: with the
                                                  next POST; half-open: after
                                                  the handshake; resident: with
                                                  the request */
    unsigned                    reused:1;      /* resumed from a ticket */
    unsigned                    psk:1;         /* of a pre-shared key */
    unsigned                    alpn:2;        /* see ngx_http_atls_ssl.h */

    int32_t                     whole;         /* lifetime as configured */

    /* the start of a record whose rest is still to come */
    ngx_http_atls_pieces_t      pending;

    /* the client's, see ngx_http_atls_identity.h; none if it is anonymous */
    ngx_http_atls_pieces_t      identity;

    /* in the owner's memory; for it alone */
    ngx_http_atls_handshake_t  *handshake;
    ngx_http_atls_inner_t      *inner;         /* of a resident */

    uint64_t                    requests;      /* inner ones */

    trl_state_t                state;         /* of an established one */

    u_char                     *sni;           /* sni_data or in the zone */
    u_char                      sni_data[NGX_HTTP_ATLS_SNI_LEN];
};


/*
 * What ngx_http_atls_session_take() returns.  Of several cookies, the last one
 * of these counts.
 */

typedef enum {
    ngx_http_atls_take_none = 0,               /* no cookie: not called */
    ngx_http_atls_take_unknown,                /* no such id, or expired */
    ngx_http_atls_take_elsewhere,              /* it is another location's */
    ngx_http_atls_take_busy,                   /* another POST has it */
    ngx_http_atls_take_handshake,              /* in another worker, *owner */
    ngx_http_atls_take_inner,                  /* an inner request, likewise */
    ngx_http_atls_take_ok                      /* the caller's until put or
                                                  removed */
} ngx_http_atls_take_e;


/*
 * Creates a half-open session with a random id, busy.  NULL, logged: no room
 * even by evicting other half-open sessions, or no random numbers.
 */

ngx_http_atls_session_t *ngx_http_atls_session_create(
    ngx_http_atls_main_conf_t *amcf, ngx_http_atls_loc_conf_t *alcf,
    ngx_log_t *log);

/* Logs that the zone is full, at most once a second. */

void ngx_http_atls_session_full(ngx_shm_zone_t *zone, const char *what,
    ngx_log_t *log);

/*
 * Removes up to n expired sessions of each kind, starting with the least
 * recently used.  Returns the largest number removed of a kind.
 */

ngx_uint_t ngx_http_atls_session_expire(ngx_shm_zone_t *zone, ngx_uint_t n);

/* Takes a session for a POST. */

ngx_http_atls_take_e ngx_http_atls_session_take(ngx_shm_zone_t *zone,
    u_char *id, ngx_http_atls_loc_conf_t *alcf,
    ngx_http_atls_session_t **session, ngx_http_atls_owner_t *owner);

/*
 * Whether a session of the caller has exceeded its lifetime; and whether it has
 * exceeded its lifetime or its idle timeout when it was taken.  The limits are
 * those it was created with, or those of its location now, if lower.
 */

ngx_uint_t ngx_http_atls_session_outlived(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);
ngx_uint_t ngx_http_atls_session_expired(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * Data of a session owned by another worker, to check whether it may continue.
 * NGX_DECLINED: there is no such session, or its handshake is not finished.
 */

typedef struct {
    uint64_t                    policy;
    ngx_str_t                   sni;
    ngx_str_t                   psk;           /* kept identity; empty: none */
    ngx_uint_t                  expired;

    u_char                      data[2 * NGX_HTTP_ATLS_VIEW_LEN];
} ngx_http_atls_view_t;

ngx_int_t ngx_http_atls_session_view(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_view_t *view);

/* Closes a session after the request in progress. */

void ngx_http_atls_session_end(ngx_shm_zone_t *zone, u_char *id);

/*
 * Counts a half-open session of the caller as established until it is put back:
 * the response to its early data takes long, and its place is needed for
 * handshakes.  NGX_BUSY: no room.
 */

ngx_int_t ngx_http_atls_session_serve(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session);

/*
 * Marks a session of the caller as established.  NGX_BUSY, logged: the zone is
 * full of sessions in use.
 */

ngx_int_t ngx_http_atls_session_establish(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_log_t *log);

/* Puts a session back; session->used must be set by the caller. */

void ngx_http_atls_session_put(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session);

/*
 * Stores a copy of the bytes in the pieces of a session of the caller; the
 * previous contents are wiped.  If len is 0, pieces are freed.  NGX_BUSY: no
 * room in the zone; the pieces are empty then.
 */

ngx_int_t ngx_http_atls_session_store(ngx_shm_zone_t *zone,
    ngx_http_atls_pieces_t *pieces, u_char *data, size_t len);

/* Copies the stored bytes, pieces->len of them. */

void ngx_http_atls_session_load(ngx_http_atls_pieces_t *pieces, u_char *dst);

/* Stores the server name sent by the client.  NGX_BUSY: no room for it. */

ngx_int_t ngx_http_atls_session_name(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_str_t *sni);

/*
 * Called when the inner connection of a resident is closed: the session ends
 * with its next POST. The session may no longer exist.
 */

void ngx_http_atls_session_abandon(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_inner_t *inner, ngx_http_atls_end_e end);

/* Wipes and frees a session of the caller. */

void ngx_http_atls_session_remove(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session);

/*
 * The same for a half-open session that is not busy, and may no longer exist:
 * it must belong to the handshake.  Returns its parked inner connection, or
 * NULL.
 */

ngx_http_atls_inner_t *ngx_http_atls_session_forget(ngx_shm_zone_t *zone,
    u_char *id, ngx_http_atls_handshake_t *handshake);

/* The tag of an id, by which a zone recognizes its ids. */

ngx_int_t ngx_http_atls_session_tag(ngx_shm_zone_t *zone, u_char *id,
    u_char *tag, ngx_log_t *log);

/*
 * Logs a POST with an unknown id, followed by a tag, and counts it if the tag
 * is of another zone: of another master process or machine, or created before a
 * restart.
 */

void ngx_http_atls_session_unknown(ngx_shm_zone_t *zone, u_char *id,
    ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_SESSION_H_INCLUDED_ */
