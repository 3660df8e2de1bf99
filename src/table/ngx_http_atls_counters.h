
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Counters of what has happened, for atls_status.  Each process slot has a
 * separate set in a shared memory zone, so that the only process that writes to
 * it needs neither a lock nor an atomic operation.  A set belongs to
 * the slot: the next process in the slot goes on counting, and a reading is the
 * sum of all sets.
 *
 * Sessions are counted in the table, see ngx_http_atls_table.h.
 */


#ifndef _NGX_HTTP_ATLS_COUNTERS_H_INCLUDED_
#define _NGX_HTTP_ATLS_COUNTERS_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_process.h"


#define NGX_HTTP_ATLS_PROBLEMS      28      /* see ngx_http_atls_problem.h */
#define NGX_HTTP_ATLS_BUCKETS       15
#define NGX_HTTP_ATLS_ALERTS        128     /* the others: as the last one */
#define NGX_HTTP_ATLS_KEYS          32
#define NGX_HTTP_ATLS_KEY_SHIFT     48

/* Directions, for the server. */

#define NGX_HTTP_ATLS_IN            0
#define NGX_HTTP_ATLS_OUT           1


/* What became of a POST; problems follow, in their order. */

typedef enum {
    ngx_http_atls_outcome_nginx = 0,           /* answered by nginx itself */
    ngx_http_atls_outcome_handshake,           /* the handshake continues */
    ngx_http_atls_outcome_opened,              /* ... is finished, no request */
    ngx_http_atls_outcome_served,
    ngx_http_atls_outcome_parked,              /* a part of a request */
    ngx_http_atls_outcome_idle,                /* no data of a request */
    ngx_http_atls_outcome_closed,              /* close_notify only */
    ngx_http_atls_outcome_handshake_failed,
    ngx_http_atls_outcome_record_refused,
    ngx_http_atls_outcome_alert,               /* a fatal alert received */
    ngx_http_atls_outcome_cut,                 /* a response is incomplete */
    ngx_http_atls_outcome_retried,             /* the same response again */
    ngx_http_atls_outcome_problem,             /* the first one */

    ngx_http_atls_outcomes = ngx_http_atls_outcome_problem
                             + NGX_HTTP_ATLS_PROBLEMS
} ngx_http_atls_outcome_e;


/* How a POST names its session. */

typedef enum {
    ngx_http_atls_named_none = 0,
    ngx_http_atls_named_cookie,
    ngx_http_atls_named_location,
    ngx_http_atls_named_keyid,                 /* of a message */

    ngx_http_atls_nameds
} ngx_http_atls_named_e;


typedef enum {
    ngx_http_atls_result_finished = 0,
    ngx_http_atls_result_failed,               /* an alert, or no TLS */
    ngx_http_atls_result_timed_out,
    ngx_http_atls_result_aborted,              /* POST cut, shutdown, no room */

    ngx_http_atls_results
} ngx_http_atls_result_e;


typedef enum {
    ngx_http_atls_resumption_none = 0,
    ngx_http_atls_resumption_ticket,
    ngx_http_atls_resumption_psk,

    ngx_http_atls_resumptions
} ngx_http_atls_resumption_e;


typedef enum {
    ngx_http_atls_relay_passed = 0,            /* with a response */
    ngx_http_atls_relay_lost,                  /* the other worker exited */
    ngx_http_atls_relay_stuck,                 /* ... does not respond */
    ngx_http_atls_relay_no_mailbox,
    ngx_http_atls_relay_no_connection,
    ngx_http_atls_relay_abandoned,             /* by the client */

    ngx_http_atls_relays
} ngx_http_atls_relay_e;


/* Of the store, see ngx_http_atls_store.h. */

typedef enum {
    ngx_http_atls_store_took = 0,              /* sessions taken out */
    ngx_http_atls_store_puts,                  /* sessions put in */
    ngx_http_atls_store_outdated,              /* of another incarnation */
    ngx_http_atls_store_unsealed,              /* with an unknown key */
    ngx_http_atls_store_failed,                /* commands */
    ngx_http_atls_store_timed_out,             /* commands */

    ngx_http_atls_stores
} ngx_http_atls_store_e;


/*
 * Associations issued; and TLS connections that have offered one, by the result
 * of the handshake, or of the first request.
 */

typedef enum {
    ngx_http_atls_association_issued = 0,
    ngx_http_atls_association_accepted,        /* for the first request */
    ngx_http_atls_association_unknown_key,     /* ... or was changed */
    ngx_http_atls_association_other_server,
    ngx_http_atls_association_expired,
    ngx_http_atls_association_policy,          /* verification of clients */
    ngx_http_atls_association_already_used,
    ngx_http_atls_association_cipher_suite,    /* none with SHA-256 */

    ngx_http_atls_associations
} ngx_http_atls_association_e;


/* The buckets are not cumulative; the last one has no limit. */

typedef struct {
    uint64_t                 buckets[NGX_HTTP_ATLS_BUCKETS];
    uint64_t                 sum;              /* in milliseconds */
} ngx_http_atls_histogram_t;


/*
 * Counts of numbers that are not known in advance, and not selected by clients:
 * each word has a number plus 1 and its count; 0: not used.  Numbers without
 * room are counted in the last word, as NGX_HTTP_ATLS_KEY_OTHER.
 */

typedef uint64_t  ngx_http_atls_tally_t[NGX_HTTP_ATLS_KEYS];

#define NGX_HTTP_ATLS_KEY_OTHER     0xfffe

#define ngx_http_atls_tally_key(word)                                         \
    ((ngx_uint_t) ((word) >> NGX_HTTP_ATLS_KEY_SHIFT) - 1)

#define ngx_http_atls_tally_count(word)                                       \
    ((word) & (((uint64_t) 1 << NGX_HTTP_ATLS_KEY_SHIFT) - 1))


struct ngx_http_atls_counters_s {

    /* used by each request, so they are together */

    uint64_t                   posts[ngx_http_atls_outcomes];
    uint64_t                   named[ngx_http_atls_nameds];
    uint64_t                   requests[6];    /* by class of status */
    uint64_t                   records[2];
    uint64_t                   ciphertext[2];  /* bytes */
    uint64_t                   plaintext[2];
    ngx_http_atls_histogram_t  post_time;

    ngx_http_atls_tally_t      statuses;       /* if answered by nginx */

    uint64_t                   handshakes[ngx_http_atls_results];
    ngx_http_atls_histogram_t  handshake_time; /* finished ones */
    ngx_http_atls_tally_t      protocols;
    ngx_http_atls_tally_t      suites;
    ngx_http_atls_tally_t      groups;
    uint64_t                   resumptions[ngx_http_atls_resumptions];
    uint64_t                   early_data[2];  /* accepted, refused */

    uint64_t                   refused[TRL_REFUSALS];
    uint64_t                   alerts[2][NGX_HTTP_ATLS_ALERTS];
    uint64_t                   key_updates[2];

    uint64_t                   relays[ngx_http_atls_relays];
    uint64_t                   store[ngx_http_atls_stores];
    uint64_t                   associations[ngx_http_atls_associations];

    /* gauges: reset when a process starts */

    uint64_t                   handshaking;
    uint64_t                   parked;

    ngx_atomic_t               owner;          /* id of the process; in a
                                                  sum: their number */
};


/* In the set of this process. */

#define ngx_http_atls_count(member)                                           \
    (ngx_http_atls_process.counters->member++)

#define ngx_http_atls_count_n(member, n)                                      \
    (ngx_http_atls_process.counters->member += (n))

#define ngx_http_atls_gauge(member, n)                                        \
    (ngx_http_atls_process.counters->member = (n))


/* A client can send any number: it must not use up the room for others. */

#define ngx_http_atls_count_alert(dir, alert)                                 \
    ngx_http_atls_count(alerts[dir][ngx_min(alert, NGX_HTTP_ATLS_ALERTS - 1)])


/* Adds the zone; called once for each configuration.  NULL on errors. */

ngx_shm_zone_t *ngx_http_atls_counters_zone(ngx_conf_t *cf);

/* In a worker: selects its set. */

void ngx_http_atls_counters_init_worker(ngx_shm_zone_t *zone);

/* Adds up all sets; gauges only those of existing processes. */

void ngx_http_atls_counters_sum(ngx_shm_zone_t *zone,
    ngx_http_atls_counters_t *sum);

/* When the counters were created: the time of day, in seconds. */

time_t ngx_http_atls_counters_since(ngx_shm_zone_t *zone);

void ngx_http_atls_count_time(ngx_http_atls_histogram_t *histogram,
    ngx_msec_t msec);
void ngx_http_atls_count_key(uint64_t *tally, ngx_uint_t key);

/* The upper limit of a bucket, in milliseconds; 0: none. */

ngx_msec_t ngx_http_atls_counters_limit(ngx_uint_t bucket);


#endif /* _NGX_HTTP_ATLS_COUNTERS_H_INCLUDED_ */
