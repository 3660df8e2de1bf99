
/*
 * The table of sessions in shared memory (atls_zone).
 *
 * A session is half-open (waiting for the client's next flight), idle
 * (established), a resident (established, with an incomplete inner request
 * parked in a worker) or busy (in any of these states, with a POST in
 * progress).  A busy session belongs to the worker that took it, which may use
 * it without the lock until it is put back; it is not used or freed by other
 * workers.  Other sessions may be freed at any time, so references to them must
 * be ids.
 */


#ifndef _NGX_HTTP_ATLS_SESSION_H_INCLUDED_
#define _NGX_HTTP_ATLS_SESSION_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "trl_window.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_ending.h"


#define NGX_HTTP_ATLS_ID_LEN        16      /* random bytes */
#define NGX_HTTP_ATLS_TAG_LEN       2       /* identifies the zone */
#define NGX_HTTP_ATLS_SNI_LEN       40      /* longer names use a piece */


/* The kind of an entry of the table, see ngx_http_atls_entry.h. */

typedef enum {
    ngx_http_atls_free = 0,
    ngx_http_atls_raw,                         /* initialized or wiped */

    /* pieces */

    ngx_http_atls_record,                      /* a partial record */
    ngx_http_atls_name,                        /* server name */
    ngx_http_atls_identity,                    /* client's identity */
    ngx_http_atls_stranger,                    /* not verified */
    ngx_http_atls_kept,                        /* the last response */

    /* sessions, in a queue for each kind */

    ngx_http_atls_handshaking,                 /* half-open, busy */
    ngx_http_atls_half_open,                   /* half-open, not busy */
    ngx_http_atls_busy,                        /* established; or with early
                                                  data */
    ngx_http_atls_idle,
    ngx_http_atls_idle_stranger,               /* client not verified */
    ngx_http_atls_idle_record,                 /* with a partial record */
    ngx_http_atls_resident,
    ngx_http_atls_resident_record,             /* with a partial record */

    ngx_http_atls_kinds
} ngx_http_atls_kind_e;


/* How a session ends, in ascending order of priority. */

typedef enum {
    ngx_http_atls_end_none = 0,                /* continues */
    ngx_http_atls_end_closed,                  /* data are complete */
    ngx_http_atls_end_cut,                     /* response incomplete */
    ngx_http_atls_end_refused                  /* a record was rejected */
} ngx_http_atls_end_e;


/*
 * Data of variable size are stored in pieces of the size of a session, so an
 * evicted session always makes room for one piece.
 */

typedef struct ngx_http_atls_piece_s  ngx_http_atls_piece_t;

typedef struct {
    ngx_http_atls_piece_t      *first;
    uint32_t                    len;           /* total bytes; 0: none */
    uint32_t                    kind;          /* ngx_http_atls_kind_e */
} ngx_http_atls_pieces_t;


struct ngx_http_atls_session_s {
    uint8_t                     kind;          /* ngx_http_atls_kind_e */
    uint8_t                     share;         /* see ngx_http_atls_entry.h */
    uint16_t                    shard;         /* see ngx_http_atls_table.h */
    uint32_t                    next;          /* in the bucket */
    ngx_queue_t                 queue;         /* by kind */

    u_char                      id[NGX_HTTP_ATLS_ID_LEN];
    uint64_t                    endpoint;      /* id of the endpoint */
    uint64_t                    policy;        /* client verification */

    int64_t                     created;       /* ngx_http_atls_clock() */
    int64_t                     used;          /* last use by the client */
    int32_t                     timeout;       /* idle timeout, in seconds */
    int32_t                     cookie;        /* seconds after "created" when
                                                  it expires; 0: not sent */
    int32_t                     lifetime;      /* in seconds; the rest if
                                                  resumed from a ticket */

    uint32_t                    owner;         /* unless idle, or shared: 0 */
    uint16_t                    slot;          /* slot of the owner */
    uint16_t                    sni_len;

    unsigned                    verify_error:15;    /* X509_V_ERR_*, or
                                                       X509_V_OK */
    unsigned                    overtaken:1;   /* the next empty POST may have
                                                  been sent before the last
                                                  data: it does not end it */
    unsigned                    established:1;
    unsigned                    reason:5;      /* ngx_http_atls_ending_e, if
                                                  known before the end */
    unsigned                    end:2;         /* ngx_http_atls_end_e: with the
                                                  next POST; half-open: after
                                                  the handshake; resident: with
                                                  the request */
    unsigned                    reused:1;      /* resumed from a ticket */
    unsigned                    psk:1;         /* authenticated by PSK */
    unsigned                    alpn:2;        /* see ngx_http_atls_ssl.h */
    unsigned                    other:1;       /* the name is that of another
                                                  server than the endpoint's */
    unsigned                    named:1;       /* sni is set */
    unsigned                    leaving:1;     /* it is being moved to another
                                                  machine */
    unsigned                    returned:1;    /* it was moved back meanwhile */

    int32_t                     whole;         /* configured lifetime */
    uint32_t                    requests;      /* inner requests */

    /* a partial record, to be continued */
    ngx_http_atls_pieces_t      pending;

    /* client's identity, see ngx_http_atls_identity.h; empty: anonymous */
    ngx_http_atls_pieces_t      identity;

    /* the last POST and the response to it, see ngx_http_atls_retry.h */
    ngx_http_atls_pieces_t      kept;

    /* in the owner's memory, unless established; or numbers of messages */
    union {
        ngx_http_atls_handshake_t  *handshake;
        trl_window_t                window;
    } u;

    /* in the owner's memory, if resident */
    ngx_http_atls_inner_t      *inner;

    uint64_t                    bytes_in;      /* of POSTs */
    uint64_t                    bytes_out;     /* of responses to them */

    trl_state_t                 state;         /* if established */

    /* server name: a piece if it is longer than the data */
    union {
        ngx_http_atls_piece_t  *piece;
        u_char                  data[NGX_HTTP_ATLS_SNI_LEN];
    } sni;
};


/* Established with DTLS, see ngx_http_atls_shared.h. */

#define ngx_http_atls_session_shared(session)                                 \
    ((session)->established && trl_is_datagram((session)->state.protocol))

#define ngx_http_atls_session_handshake(session)                              \
    ((session)->established ? NULL : (session)->u.handshake)


/*
 * Results of ngx_http_atls_session_take().  If there are several cookies, the
 * largest value is used.
 */

typedef enum {
    ngx_http_atls_take_none = 0,               /* no identifier */
    ngx_http_atls_take_unknown,                /* no session, or expired */
    ngx_http_atls_take_foreign,                /* of another zone */
    ngx_http_atls_take_lost,                   /* with its worker */
    ngx_http_atls_take_unreachable,            /* the store does not answer */
    ngx_http_atls_take_elsewhere,              /* of another location */
    ngx_http_atls_take_busy,                   /* in use by another POST */
    ngx_http_atls_take_handshake,              /* owned by worker *owner */
    ngx_http_atls_take_inner,                  /* resident in worker *owner */
    ngx_http_atls_take_ok,                     /* owned by the caller, until
                                                  put or removed */
    ngx_http_atls_take_shared                  /* not owned: DTLS */
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
 * Removes up to n expired sessions of each kind in a shard, starting with the
 * least recently used.  Returns the largest number removed of a kind.
 */

ngx_uint_t ngx_http_atls_session_expire(ngx_shm_zone_t *zone,
    ngx_uint_t number, ngx_uint_t n);

/*
 * Takes a session for a POST.  *alcf: its location; set to the endpoint of the
 * session if it may be used in the location.
 */

ngx_http_atls_take_e ngx_http_atls_session_take(ngx_shm_zone_t *zone,
    u_char *id, ngx_http_atls_loc_conf_t **alcf,
    ngx_http_atls_session_t **session, ngx_http_atls_owner_t *owner);

/* Closes a session after the request in progress, for a reason. */

void ngx_http_atls_session_end(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_ending_e reason);

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

/*
 * Puts a session back; session->used must be set by the caller.  The response,
 * unless it is NULL, replaces the one kept with the session, if there is room.
 */

void ngx_http_atls_session_put(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_response_t *response);

/* The kind of a session that is put back. */

ngx_http_atls_kind_e ngx_http_atls_session_kind(
    ngx_http_atls_session_t *session);

/*
 * Called when the inner connection of a resident is closed: the session ends
 * with its next POST, or, if overtaken and that is empty, with the one after
 * it.  The session may no longer exist.
 */

void ngx_http_atls_session_abandon(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_inner_t *inner, ngx_http_atls_end_e end,
    ngx_uint_t overtaken);

/* Wipes and frees a session of the caller, and logs its end. */

void ngx_http_atls_session_remove(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_ending_e reason,
    ngx_log_t *log);

/*
 * The same for a half-open session that is not busy, and may no longer exist:
 * it must belong to the handshake.  Returns its parked inner connection, or
 * NULL.
 */

ngx_http_atls_inner_t *ngx_http_atls_session_forget(ngx_shm_zone_t *zone,
    u_char *id, ngx_http_atls_handshake_t *handshake,
    ngx_http_atls_ending_e reason);

/* The sessions of a zone, and its use, at one moment. */

typedef struct {
    ngx_uint_t                  count[ngx_http_atls_kinds];
    ngx_uint_t                  entries;       /* of the zone */
    ngx_uint_t                  nfree;
    size_t                      entry_size;
    ngx_uint_t                  touched;       /* used at any time */
    ngx_uint_t                  handshakes;    /* entries reserved for them */
    uint64_t                    started;
    uint64_t                    ended[ngx_http_atls_endings];
    uint64_t                    evicted[ngx_http_atls_kinds];
} ngx_http_atls_stat_t;

void ngx_http_atls_session_stat(ngx_shm_zone_t *zone,
    ngx_http_atls_stat_t *stat);


#endif /* _NGX_HTTP_ATLS_SESSION_H_INCLUDED_ */
