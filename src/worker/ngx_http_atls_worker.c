
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_worker.h"


#define NGX_HTTP_ATLS_WORKER_STEP  2000     /* milliseconds */


typedef enum {
    ngx_http_atls_leaving_none = 0,
    ngx_http_atls_leaving_begun,            /* it is about to exit */
    ngx_http_atls_leaving_done              /* it puts no more sessions out */
} ngx_http_atls_leaving_e;


typedef struct {
    ngx_atomic_t               id;          /* of the process; 0: none */
    ngx_atomic_t               beats;       /* the heartbeat */
    ngx_pid_t                  pid;
    uint32_t                   mailbox;     /* its serial number */
    ngx_uint_t                 locked;
    ngx_http_atls_leaving_e    leaving;
    ngx_atomic_uint_t          generation;  /* of its configuration */
    ngx_uint_t                 uses;        /* of shared sessions, at present */
} ngx_http_atls_slot_t;


typedef struct {
    ngx_atomic_t               last;        /* last id assigned */
    ngx_atomic_t               nslots;      /* slots used so far */
    ngx_atomic_t               generation;  /* of the configuration */
    ngx_http_atls_slot_t       slots[NGX_MAX_PROCESSES];
} ngx_http_atls_slots_t;


static ngx_int_t ngx_http_atls_worker_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_uint_t ngx_http_atls_worker_exists(ngx_uint_t number);
static void ngx_http_atls_worker_listen(ngx_http_atls_owner_t *owner,
    ngx_msec_t passed);
static ngx_int_t ngx_http_atls_worker_lock(ngx_uint_t slot);
static ngx_uint_t ngx_http_atls_worker_locked(ngx_uint_t slot);


/* Set by the master and inherited by workers. */

static ngx_http_atls_slots_t  *ngx_http_atls_slots;
static ngx_fd_t                ngx_http_atls_locks = NGX_INVALID_FILE;
static ngx_atomic_uint_t       ngx_http_atls_generation;

/* Those of the previous process in the slot. */

static ngx_uint_t              ngx_http_atls_uses_left;


ngx_shm_zone_t *
ngx_http_atls_worker_zone(ngx_conf_t *cf)
{
    static ngx_str_t  name = ngx_string("atls_workers");

    return ngx_http_atls_worker_add_zone(cf, &name,
                                         sizeof(ngx_http_atls_slots_t),
                                         ngx_http_atls_worker_init_zone);
}


ngx_shm_zone_t *
ngx_http_atls_worker_add_zone(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    ngx_shm_zone_init_pt init)
{
    ngx_shm_zone_t  *zone;

    /* overhead of the slab allocator */

    size = ngx_align(size, ngx_pagesize) + size / 64 + 8 * ngx_pagesize;

    zone = ngx_shared_memory_add(cf, name, size, &ngx_http_atls_module);
    if (zone == NULL) {
        return NULL;
    }

    if (zone->init) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" cannot be used for sessions", name);
        return NULL;
    }

    zone->init = init;

    return zone;
}


static ngx_int_t
ngx_http_atls_worker_init_zone(ngx_shm_zone_t *zone, void *data)
{
    if (data == NULL) {
        data = ngx_slab_calloc((ngx_slab_pool_t *) zone->shm.addr,
                               sizeof(ngx_http_atls_slots_t));
        if (data == NULL) {
            return NGX_ERROR;
        }
    }

    zone->data = data;

    return NGX_OK;
}


/*
 * Each process holds a lock on one byte of an unnamed file, at the offset of
 * its slot.  The kernel releases it when the process exits for any reason, and
 * it is not inherited by child processes.  A pid is not sufficient, since it
 * can be reused.
 */

void
ngx_http_atls_worker_init_module(ngx_shm_zone_t *zone)
{
    ngx_http_atls_slots = zone->data;
    ngx_http_atls_generation = ++ngx_http_atls_slots->generation;

    if (ngx_http_atls_locks != NGX_INVALID_FILE) {
        return;
    }

    ngx_http_atls_locks = ngx_http_atls_memory_file("atls_workers");

    if (ngx_http_atls_locks == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_NOTICE, zone->shm.log, ngx_errno,
                      "memfd for \"atls\" failed, "
                      "dead workers are detected by pid");
    }
}


void
ngx_http_atls_worker_exit_module(void)
{
    if (ngx_http_atls_locks != NGX_INVALID_FILE) {
        (void) ngx_close_file(ngx_http_atls_locks);
        ngx_http_atls_locks = NGX_INVALID_FILE;
    }
}


void
ngx_http_atls_worker_init_worker(ngx_cycle_t *cycle, uint32_t mailbox)
{
    ngx_atomic_uint_t      n;
    ngx_http_atls_slot_t  *slot;

    ngx_http_atls_process.ticked = ngx_current_msec;

    ngx_http_atls_process.owner.slot = ngx_process_slot;
    ngx_http_atls_process.owner.id = 1 + (uint32_t)
                           ngx_atomic_fetch_add(&ngx_http_atls_slots->last, 1);

    /* the new id is not in use yet, the previous one is no longer valid */

    slot = &ngx_http_atls_slots->slots[ngx_process_slot];
    slot->id = 0;

    ngx_memory_barrier();

    slot->pid = ngx_pid;
    slot->mailbox = mailbox;
    slot->leaving = ngx_http_atls_leaving_none;
    ngx_memory_barrier();
    slot->generation = ngx_http_atls_generation;

    ngx_http_atls_uses_left = slot->uses;
    slot->uses = 0;

    slot->locked = (ngx_http_atls_worker_lock(ngx_process_slot) == NGX_OK);

    ngx_memory_barrier();

    slot->id = ngx_http_atls_process.owner.id;

    do {
        n = ngx_http_atls_slots->nslots;

    } while (n <= (ngx_atomic_uint_t) ngx_process_slot
             && !ngx_atomic_cmp_set(&ngx_http_atls_slots->nslots, n,
                                    ngx_process_slot + 1));

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, cycle->log, 0,
                   "atls worker %uD in slot %uD",
                   ngx_http_atls_process.owner.id,
                   ngx_http_atls_process.owner.slot);
}


ngx_uint_t
ngx_http_atls_worker_alive(ngx_http_atls_owner_t *owner)
{
    ngx_http_atls_slot_t  *slot;

    if (owner->id == ngx_http_atls_process.owner.id) {
        return 1;
    }

    if (!ngx_http_atls_worker_known(owner)) {
        return 0;
    }

    slot = &ngx_http_atls_slots->slots[owner->slot];

    return slot->locked ? ngx_http_atls_worker_locked(owner->slot)
                        : kill(slot->pid, 0) == 0 || ngx_errno != ESRCH;
}


ngx_uint_t
ngx_http_atls_worker_known(ngx_http_atls_owner_t *owner)
{
    return owner->id == ngx_http_atls_process.owner.id
           || (owner->slot < NGX_MAX_PROCESSES
               && ngx_http_atls_slots->slots[owner->slot].id == owner->id);
}


uint32_t
ngx_http_atls_worker_mailbox(ngx_http_atls_owner_t *owner)
{
    return ngx_http_atls_slots->slots[owner->slot].mailbox;
}


ngx_pid_t
ngx_http_atls_worker_pid(ngx_http_atls_owner_t *owner)
{
    return ngx_http_atls_slots->slots[owner->slot].pid;
}


void
ngx_http_atls_worker_use(ngx_int_t n)
{
    ngx_http_atls_slots->slots[ngx_http_atls_process.owner.slot].uses += n;
}


void
ngx_http_atls_worker_leave(void)
{
    ngx_http_atls_slots->slots[ngx_http_atls_process.owner.slot].leaving =
                                                   ngx_http_atls_leaving_begun;
}


void
ngx_http_atls_worker_left(void)
{
    ngx_http_atls_slot_t  *slot;

    slot = &ngx_http_atls_slots->slots[ngx_http_atls_process.owner.slot];

    if (slot->leaving) {
        slot->leaving = ngx_http_atls_leaving_done;
    }

    ngx_memory_barrier();
}


/*
 * Processes of older configurations exit in any case.  After a reload, those of
 * the newest one may not have begun yet: one of them must have left.
 */

ngx_int_t
ngx_http_atls_worker_last(void)
{
    ngx_int_t              rc;
    ngx_uint_t             n;
    ngx_http_atls_slot_t  *slot;

    rc = NGX_DECLINED;

    for (n = 0; n < ngx_http_atls_slots->nslots; n++) {
        slot = &ngx_http_atls_slots->slots[n];

        if (slot->generation != ngx_http_atls_slots->generation) {
            continue;
        }

        ngx_memory_barrier();

        if (slot->leaving) {
            rc = NGX_OK;

        } else if (ngx_http_atls_worker_exists(n)) {
            return slot->generation == ngx_http_atls_generation ? NGX_AGAIN
                                                                : NGX_DECLINED;
        }
    }

    return rc;
}


ngx_uint_t
ngx_http_atls_worker_newer(void)
{
    ngx_uint_t             n;
    ngx_http_atls_slot_t  *slot;

    for (n = 0; n < ngx_http_atls_slots->nslots; n++) {
        slot = &ngx_http_atls_slots->slots[n];

        if (slot->generation > ngx_http_atls_generation
            && slot->leaving != ngx_http_atls_leaving_done
            && ngx_http_atls_worker_exists(n))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_atls_worker_exists(ngx_uint_t number)
{
    ngx_http_atls_owner_t  owner;

    owner.id = (uint32_t) ngx_http_atls_slots->slots[number].id;
    owner.slot = number;

    return owner.id && ngx_http_atls_worker_alive(&owner);
}


/*
 * A process that is stopped or blocked in a system call may continue later.
 * Each process increments a counter once a second, and the others check that
 * it changes.
 *
 * Shared memory contains no timestamps: if this process, or the whole machine,
 * was stopped, the elapsed time says nothing about other processes.  So the
 * time between two checks is limited to one step.
 */

ngx_uint_t
ngx_http_atls_worker_tick(ngx_uint_t *uses)
{
    ngx_msec_t             passed;
    ngx_uint_t             n;
    ngx_http_atls_slot_t  *slot;
    ngx_http_atls_owner_t  owner;

    n = 0;

    *uses = ngx_http_atls_uses_left;
    ngx_http_atls_uses_left = 0;

    ngx_http_atls_slots->slots[ngx_http_atls_process.owner.slot].beats++;

    passed = ngx_min(ngx_current_msec - ngx_http_atls_process.ticked,
                     NGX_HTTP_ATLS_WORKER_STEP);
    ngx_http_atls_process.ticked = ngx_current_msec;

    for (owner.slot = 0; owner.slot < ngx_http_atls_slots->nslots; owner.slot++)
    {
        slot = &ngx_http_atls_slots->slots[owner.slot];

        owner.id = (uint32_t) slot->id;

        if (owner.id == 0) {
            continue;
        }

        if (ngx_http_atls_worker_alive(&owner)) {
            ngx_http_atls_worker_listen(&owner, passed);
            continue;
        }

        /* a new process may have just taken the slot */

        if (ngx_atomic_cmp_set(&slot->id, owner.id, 0)) {
            ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                           "atls worker %uD in slot %uD exited",
                           owner.id, owner.slot);
            *uses += slot->uses;
            n++;
        }
    }

    return n;
}


static void
ngx_http_atls_worker_listen(ngx_http_atls_owner_t *owner, ngx_msec_t passed)
{
    ngx_atomic_uint_t       beats;
    ngx_http_atls_heard_t  *heard;

    heard = &ngx_http_atls_process.heard[owner->slot];
    beats = ngx_http_atls_slots->slots[owner->slot].beats;

    if (heard->id == owner->id && heard->beats == beats) {
        heard->silence += passed;

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "atls worker %uD without heartbeat:%M",
                       owner->id, heard->silence);
        return;
    }

    heard->id = owner->id;
    heard->beats = beats;
    heard->silence = 0;
}


/* The process may have continued since the last check. */

ngx_msec_t
ngx_http_atls_worker_silence(ngx_http_atls_owner_t *owner)
{
    ngx_http_atls_heard_t  *heard;

    heard = &ngx_http_atls_process.heard[owner->slot];

    if (heard->id != owner->id
        || heard->beats != ngx_http_atls_slots->slots[owner->slot].beats)
    {
        return 0;
    }

    return heard->silence;
}


/* POSIX locks are owned by the process. */

static ngx_int_t
ngx_http_atls_worker_lock(ngx_uint_t slot)
{
    struct flock  lock;

    if (ngx_http_atls_locks == NGX_INVALID_FILE) {
        return NGX_DECLINED;
    }

    ngx_memzero(&lock, sizeof(struct flock));

    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = slot;
    lock.l_len = 1;

    if (fcntl(ngx_http_atls_locks, F_SETLK, &lock) == -1) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "fcntl(F_SETLK) for \"atls\" failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Whether another process has the lock. */

static ngx_uint_t
ngx_http_atls_worker_locked(ngx_uint_t slot)
{
    struct flock  lock;

    ngx_memzero(&lock, sizeof(struct flock));

    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = slot;
    lock.l_len = 1;

    return fcntl(ngx_http_atls_locks, F_GETLK, &lock) == -1
           || lock.l_type != F_UNLCK;
}
