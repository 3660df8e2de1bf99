
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_cipher.h"
#include "trl_hash.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_shared.h"
#include "ngx_http_atls_sweep.h"
#include "ngx_http_atls_table.h"


/* milliseconds to the next sweep, by default and if there is more to do */

#define NGX_HTTP_ATLS_SWEEP           1000
#define NGX_HTTP_ATLS_SWEEP_MORE      10

/* seconds between two reports of evicted sessions */

#define NGX_HTTP_ATLS_SWEEP_REPORT    60

/* expired sessions removed at a time, for each kind; and number of times */

#define NGX_HTTP_ATLS_SWEEP_PORTION   32
#define NGX_HTTP_ATLS_SWEEP_PORTIONS  64


static void ngx_http_atls_sweep(ngx_event_t *ev);
static void ngx_http_atls_sweep_owned(ngx_http_atls_zone_t *z,
    ngx_uint_t uses);
static void ngx_http_atls_sweep_shard(ngx_http_atls_shard_t *shard,
    ngx_uint_t uses);
static ngx_int_t ngx_http_atls_sweep_expired(ngx_http_atls_zone_t *z);
static void ngx_http_atls_sweep_report(ngx_http_atls_zone_t *z,
    ngx_log_t *log);
static void ngx_http_atls_sweep_report_foreign(ngx_http_atls_zone_t *z,
    ngx_log_t *log);


void
ngx_http_atls_sweep_init_worker(ngx_shm_zone_t *zone, ngx_log_t *log)
{
    ngx_event_t           *ev;
    ngx_connection_t      *c;
    ngx_http_atls_zone_t  *z;

    z = zone->data;

    ngx_http_atls_table_wake(z);
    ngx_http_atls_sweep_owned(z, 0);

    c = &ngx_http_atls_process.sweeper_connection;

    c->fd = (ngx_socket_t) -1;
    c->data = z;

    ev = &ngx_http_atls_process.sweeper;

    ev->handler = ngx_http_atls_sweep;
    ev->data = c;
    ev->log = log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_ATLS_SWEEP);
}


static void
ngx_http_atls_sweep(ngx_event_t *ev)
{
    ngx_int_t              rc;
    ngx_uint_t             uses;
    ngx_connection_t      *c;
    ngx_http_atls_zone_t  *z;

    c = ev->data;
    z = c->data;

    if (ngx_http_atls_worker_tick(&uses) || uses) {
        ngx_http_atls_sweep_owned(z, uses);
    }

    rc = ngx_http_atls_sweep_expired(z);

    ngx_http_atls_sweep_report(z, ev->log);
    ngx_http_atls_sweep_report_foreign(z, ev->log);

    ngx_http_atls_ending_tick(ev->log);

    trl_cipher_trim();
    trl_hash_trim();

    ngx_add_timer(ev, rc == NGX_OK ? NGX_HTTP_ATLS_SWEEP
                                   : NGX_HTTP_ATLS_SWEEP_MORE);
}


/*
 * Removes sessions of worker processes that have exited; if these had uses of
 * shared ones, nobody knows which.
 */

static void
ngx_http_atls_sweep_owned(ngx_http_atls_zone_t *z, ngx_uint_t uses)
{
    ngx_uint_t              n;
    ngx_http_atls_shard_t  *shard;

    for (n = 0; n < z->table->nshards; n++) {
        shard = ngx_http_atls_table_lock_shard(z, n);
        ngx_http_atls_sweep_shard(shard, uses);
        ngx_http_atls_table_unlock(z, shard);
    }
}


static void
ngx_http_atls_sweep_shard(ngx_http_atls_shard_t *shard, ngx_uint_t uses)
{
    ngx_uint_t                kind;
    ngx_queue_t              *q, *next, *queue;
    ngx_http_atls_owner_t     owner;
    ngx_http_atls_session_t  *session;

    for (kind = 0; kind < ngx_http_atls_kinds; kind++) {

        if (!ngx_http_atls_is_owned(kind)) {
            continue;
        }

        queue = &shard->queues[kind];

        for (q = ngx_queue_head(queue); q != queue; q = next) {
            next = ngx_queue_next(q);

            session = ngx_queue_data(q, ngx_http_atls_session_t, queue);

            if (session->owner == 0) {

                if (uses) {
                    ngx_http_atls_shared_reset(shard, session);
                }

                continue;
            }

            owner.id = session->owner;
            owner.slot = session->slot;

            if (!ngx_http_atls_worker_known(&owner)) {

                ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                               "atls %08xD swept, worker %uD exited",
                               ngx_http_atls_label(session->id,
                                                   ngx_cycle->log),
                               owner.id);

                ngx_http_atls_table_lose(shard, session);
            }
        }
    }
}


/*
 * Limits the number of sessions removed at a time, since other processes need
 * the lock, and the number in total, the same for all shards.  NGX_AGAIN: there
 * may be more.
 */

static ngx_int_t
ngx_http_atls_sweep_expired(ngx_http_atls_zone_t *z)
{
    ngx_int_t   rc;
    ngx_uint_t  i, n, number, portions;

    rc = NGX_OK;
    portions = NGX_HTTP_ATLS_SWEEP_PORTIONS / z->table->nshards;

    for (number = 0; number < z->table->nshards; number++) {

        n = NGX_HTTP_ATLS_SWEEP_PORTION;

        for (i = 0; i < portions && n == NGX_HTTP_ATLS_SWEEP_PORTION; i++) {
            n = ngx_http_atls_session_expire(z->zone, number,
                                             NGX_HTTP_ATLS_SWEEP_PORTION);

            if (n) {
                ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                               "atls sweep, shard:%ui, expired:%ui", number, n);
            }
        }

        if (n == NGX_HTTP_ATLS_SWEEP_PORTION) {
            rc = NGX_AGAIN;
        }
    }

    return rc;
}


/* The report is logged at most once a minute, by any of the processes. */

static void
ngx_http_atls_sweep_report(ngx_http_atls_zone_t *z, ngx_log_t *log)
{
    uint64_t                n[ngx_http_atls_kinds];
    ngx_uint_t              i, any, used;
    ngx_http_atls_stat_t    stat;
    ngx_http_atls_table_t  *table;

    any = 0;
    table = z->table;

    ngx_http_atls_session_stat(z->zone, &stat);

    ngx_shmtx_lock(&z->shpool->mutex);

    if (ngx_http_atls_clock_since(table->report) >= NGX_HTTP_ATLS_SWEEP_REPORT)
    {
        for (i = 0; i < ngx_http_atls_kinds; i++) {
            n[i] = stat.evicted[i] - table->reported[i];
            table->reported[i] = stat.evicted[i];

            any |= (n[i] != 0);
        }

        if (any) {
            table->report = ngx_http_atls_clock();
        }
    }

    ngx_shmtx_unlock(&z->shpool->mutex);

    if (!any) {
        return;
    }

    used = 0;

    for (i = ngx_http_atls_record; i < ngx_http_atls_kinds; i++) {
        used += stat.count[i];
    }

    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "atls_zone \"%V\" is too small, sessions evicted: "
                  "%uL half-open, %uL idle, %uL of unverified clients, "
                  "%uL in a record, %uL in a request; "
                  "entries in use: %ui of %ui",
                  &z->zone->shm.name,
                  n[ngx_http_atls_half_open],
                  n[ngx_http_atls_idle],
                  n[ngx_http_atls_idle_stranger],
                  n[ngx_http_atls_idle_record],
                  n[ngx_http_atls_resident]
                  + n[ngx_http_atls_resident_record],
                  used, stat.entries);
}


/* Clients can forge such ids, so the level is "notice", as for upgrades. */

static void
ngx_http_atls_sweep_report_foreign(ngx_http_atls_zone_t *z, ngx_log_t *log)
{
    ngx_atomic_uint_t       n;
    ngx_http_atls_table_t  *table;

    n = 0;
    table = z->table;

    ngx_shmtx_lock(&z->shpool->mutex);

    if (ngx_http_atls_clock_since(table->foreign_report) >= 1) {
        n = table->foreign - table->foreign_reported;
    }

    if (n) {
        table->foreign_reported += n;
        table->foreign_report = ngx_http_atls_clock();
    }

    ngx_shmtx_unlock(&z->shpool->mutex);

    if (n == 0) {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "atls_zone \"%V\": %uA POSTs for sessions of another zone: "
                  "of another master process or machine, or created before a "
                  "restart", &z->zone->shm.name, n);
}
