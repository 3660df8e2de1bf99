
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


/*
 * Measures the session table of the module, in a shared memory zone of nginx:
 * the program is nginx with another main().
 *
 *     table [-q] [-c]             -q: quickly; -c: only several processes
 *
 * Each line of the output is a name, a number of sessions or processes, and a
 * value; times are in nanoseconds per operation.  Each round prints a line.
 *
 * For a single process, CPU time is measured, since other processes affect it
 * least.
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_session_view.h"
#include "ngx_http_atls_sweep.h"
#include "ngx_http_atls_table.h"
#include "ngx_http_atls_zone.h"

#include <openssl/rand.h>
#include <sys/wait.h>


#define BENCH_SIZE      (512 * 1024 * 1024)
#define BENCH_SESSIONS  1000000
#define BENCH_RECORD    (16384 + 256 + 5)
#define BENCH_RECORDS   50
#define BENCH_TRIES     8
#define BENCH_PROCS     16
#define BENCH_TIMEOUT   600
#define BENCH_LOCKED    2000
#define BENCH_KINDS     2
#define BENCH_SHORT     300
#define BENCH_LONG      1000


/* operations, see bench_locks() */

#define BENCH_TAKE       0
#define BENCH_PUT        1
#define BENCH_RESPONSE   2
#define BENCH_LONGER     3
#define BENCH_CREATE     4
#define BENCH_ESTABLISH  5
#define BENCH_REMOVE     6
#define BENCH_STORE      7


typedef struct {
    u_char                       id[NGX_HTTP_ATLS_ID_LEN];
} bench_id_t;


typedef struct {
    volatile ngx_uint_t          ready;
    volatile ngx_uint_t          go;
    volatile ngx_uint_t          stop;

    struct {
        ngx_uint_t               ops;
        ngx_uint_t               waits;
        ngx_uint_t               sleeps;
        uint64_t                 cpu;
        u_char                   pad[128];
    } procs[BENCH_PROCS];
} bench_shared_t;


/* a zone and the sessions in it */

typedef struct {
    ngx_shm_zone_t              *zone;
    ngx_http_atls_main_conf_t    amcf;
    bench_id_t                  *ids;
    ngx_uint_t                   n;
    ngx_uint_t                   size;          /* of the current round */
    ngx_uint_t                   fragmented;
} bench_table_t;


/* Locks acquired, either of shards or of the zone. */

typedef struct {
    uint64_t                     began;
    uint64_t                     held;
    ngx_uint_t                   n;
} bench_lock_t;


int64_t __wrap_ngx_http_atls_clock(void);
time_t __wrap_ngx_http_atls_clock_since(int64_t then);
void __wrap_ngx_shmtx_lock(ngx_shmtx_t *mtx);
void __wrap_ngx_shmtx_unlock(ngx_shmtx_t *mtx);

void __real_ngx_shmtx_lock(ngx_shmtx_t *mtx);
void __real_ngx_shmtx_unlock(ngx_shmtx_t *mtx);

static ngx_int_t bench_init(void);
static void bench_zones(void);
static void bench_memory(ngx_shm_zone_t *zone);
static void bench_zone(bench_table_t *t, char *name, size_t size);
static void bench_sizes(bench_table_t *t);
static void bench_round(bench_table_t *t, ngx_uint_t n);
static void bench_take(bench_table_t *t, char *name, ngx_uint_t n);
static void bench_unknown(bench_table_t *t);
static void bench_ids(bench_table_t *t);
static void bench_change(bench_table_t *t);
static void bench_record(bench_table_t *t, char *name);
static void bench_expire(bench_table_t *t);
static void bench_full(char *name, size_t size, ngx_uint_t n);
static void bench_locks(bench_table_t *t);
static void bench_locked(bench_table_t *t, char *name, ngx_uint_t op);
static ngx_http_atls_session_t *bench_prepare(bench_table_t *t, ngx_uint_t op,
    u_char *id);
static ngx_http_atls_session_t *bench_operate(bench_table_t *t, ngx_uint_t op,
    u_char *id, ngx_http_atls_session_t *session);
static void bench_undo(bench_table_t *t, ngx_uint_t op, ngx_uint_t i,
    ngx_http_atls_session_t *session);
static void bench_put(bench_table_t *t, ngx_http_atls_session_t *session,
    size_t len);
static int bench_compare(const void *one, const void *two);
static void bench_contention(bench_table_t *t, ngx_uint_t procs,
    ngx_uint_t work);
static void bench_contender(bench_table_t *t, bench_shared_t *shared,
    ngx_uint_t proc, ngx_uint_t procs, ngx_uint_t work);
static ngx_uint_t bench_sleeps(void);
static void bench_work(ngx_uint_t n);
static void bench_fill(bench_table_t *t, ngx_uint_t n);
static void bench_add(bench_table_t *t);
static void bench_drop(bench_table_t *t, ngx_uint_t i);
static ngx_uint_t bench_exists(bench_table_t *t, u_char *id);
static ngx_http_atls_session_t *bench_session(bench_table_t *t, u_char *id);
static void bench_shuffle(bench_table_t *t, ngx_uint_t n, ngx_uint_t of);
static ngx_uint_t bench_used(bench_table_t *t);
static uint64_t bench_random(void);
static uint64_t bench_clock(clockid_t id);
static void bench_say(char *name, ngx_uint_t n, double value);
static void bench_die(char *text);


static ngx_uint_t       quick;
static ngx_uint_t       waits;          /* locks that were not free */
static uint64_t         seed = 88172645463325252ull;

static ngx_uint_t       sizes[] = { 1000, 100000, BENCH_SESSIONS };

static ngx_pool_t      *pool;
static ngx_cycle_t      cycle, empty;
static ngx_conf_t       conf;
static ngx_log_t        bench_log;
static ngx_open_file_t  bench_log_file;
static ngx_time_t       now;

static ngx_http_atls_loc_conf_t  alcf;

/* while locks are measured: those of shards, and that of the zone */

static bench_lock_t     *locks;
static ngx_shmtx_t      *zone_lock;


int
main(int argc, char **argv)
{
    int            c;
    ngx_uint_t     i, p, rounds, single;
    bench_table_t  t;

    single = 1;

    while ((c = getopt(argc, argv, "qc")) != -1) {
        switch (c) {
        case 'q':  quick = 1;   break;
        case 'c':  single = 0;  break;
        default:   bench_die("usage: table [-q] [-c]");
        }
    }

    rounds = quick ? 1 : 5;

    setvbuf(stdout, NULL, _IOLBF, 0);

    if (bench_init() != NGX_OK) {
        bench_die("can't start");
    }

    bench_zone(&t, "bench", BENCH_SIZE);

    if (single) {
        bench_sizes(&t);
    }

    while (rounds--) {

        for (i = 0; single && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            bench_round(&t, sizes[i]);
        }

        bench_fill(&t, 100000);

        if (single) {
            bench_locks(&t);
        }

        for (p = 1; p <= BENCH_PROCS; p <<= 1) {
            bench_contention(&t, p, 0);
        }

        for (p = 1; p <= BENCH_PROCS; p <<= 1) {
            bench_contention(&t, p, 20000);
        }

        if (!single) {
            continue;
        }

        bench_expire(&t);

        /* sizes for a thousand sessions and so on */

        bench_full("1 thousand", 528 * 1024, sizes[0]);
        bench_full("100 thousand", 100000 / 1000 * 524 * 1024, sizes[1]);
        bench_full("1 million", BENCH_SIZE, sizes[2]);
    }

    return 0;
}


/* The necessary parts of nginx's main(). */

/* The linker replaces the module's functions by these, see build.sh. */

int64_t
__wrap_ngx_http_atls_clock(void)
{
    return (int64_t) now.sec * 1000;
}


time_t
__wrap_ngx_http_atls_clock_since(int64_t then)
{
    return (now.sec * 1000 - then) / 1000;
}


void
__wrap_ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
    bench_lock_t  *lock;

    if (!ngx_shmtx_trylock(mtx)) {
        waits++;
        __real_ngx_shmtx_lock(mtx);
    }

    if (locks) {
        lock = &locks[mtx == zone_lock];

        lock->n++;
        lock->began = bench_clock(CLOCK_MONOTONIC);
    }
}


void
__wrap_ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    bench_lock_t  *lock;

    if (locks) {
        lock = &locks[mtx == zone_lock];
        lock->held += bench_clock(CLOCK_MONOTONIC) - lock->began;
    }

    __real_ngx_shmtx_unlock(mtx);
}


static ngx_int_t
bench_init(void)
{
    ngx_uint_t       n;
    ngx_shm_zone_t  *workers;

    bench_log_file.fd = STDERR_FILENO;
    bench_log.file = &bench_log_file;
    bench_log.log_level = NGX_LOG_ALERT;

    ngx_pid = getpid();
    ngx_ncpu = sysconf(_SC_NPROCESSORS_ONLN);
    ngx_cacheline_size = NGX_CPU_CACHE_LINE;
    ngx_pagesize = getpagesize();

    for (n = ngx_pagesize; n >>= 1; ngx_pagesize_shift++) { /* void */ }

    if (ngx_strerror_init() != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_time_init();
    ngx_slab_sizes_init();

    /* the program controls the time */

    now.sec = ngx_time();
    ngx_cached_time = &now;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &bench_log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    if (ngx_preinit_modules() != NGX_OK) {
        return NGX_ERROR;
    }

    cycle.pool = pool;
    cycle.log = &bench_log;

    /* a configuration without endpoints */

    cycle.conf_ctx = ngx_pcalloc(pool, ngx_max_module * sizeof(void *));
    if (cycle.conf_ctx == NULL) {
        return NGX_ERROR;
    }

    empty = cycle;
    ngx_cycle = &empty;

    conf.pool = pool;
    conf.log = &bench_log;
    conf.cycle = &cycle;

    alcf.endpoint = 1;
    alcf.session_timeout = BENCH_TIMEOUT;
    alcf.session_lifetime = 24 * 3600;

    bench_zones();

    workers = ngx_http_atls_worker_zone(&conf);
    if (workers == NULL) {
        return NGX_ERROR;
    }

    bench_memory(workers);

    ngx_http_atls_worker_init_module(workers);
    ngx_http_atls_worker_init_worker(&cycle, 0);

    if (ngx_http_atls_ending_init_worker(&cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_event_timer_init(&bench_log);
}


static void
bench_zones(void)
{
    ngx_memzero(&cycle.shared_memory, sizeof(ngx_list_t));

    if (ngx_list_init(&cycle.shared_memory, pool, 1, sizeof(ngx_shm_zone_t))
        != NGX_OK)
    {
        bench_die("no memory");
    }
}


/* As in ngx_init_cycle(). */

static void
bench_memory(ngx_shm_zone_t *zone)
{
    ngx_slab_pool_t  *sp;

    zone->shm.log = &bench_log;

    if (ngx_shm_alloc(&zone->shm) != NGX_OK) {
        bench_die("no shared memory");
    }

    sp = (ngx_slab_pool_t *) zone->shm.addr;

    sp->end = zone->shm.addr + zone->shm.size;
    sp->min_shift = 3;
    sp->addr = zone->shm.addr;

    if (ngx_shmtx_create(&sp->mutex, &sp->lock, NULL) != NGX_OK) {
        bench_die("no lock");
    }

    ngx_slab_init(sp);

    if (zone->init(zone, NULL) != NGX_OK) {
        bench_die("no zone");
    }
}


static void
bench_zone(bench_table_t *t, char *name, size_t size)
{
    ngx_str_t         s;
    ngx_uint_t        i;
    ngx_shm_zone_t   *zone, *zones;
    ngx_list_part_t  *part;

    ngx_memzero(t, sizeof(bench_table_t));

    bench_zones();

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    zone = ngx_http_atls_zone_add(&conf, &s, size);
    if (zone == NULL) {
        bench_die("no zone");
    }

    for (part = &cycle.shared_memory.part; part; part = part->next) {
        zones = part->elts;

        for (i = 0; i < part->nelts; i++) {
            bench_memory(&zones[i]);
        }
    }

    t->zone = zone;
    t->amcf.zone = zone;

    t->ids = calloc(size / sizeof(ngx_http_atls_session_t) + 1,
                    sizeof(bench_id_t));
    if (t->ids == NULL) {
        bench_die("no memory");
    }
}


/* Measures the capacity; touches the memory of the zone. */

static void
bench_sizes(bench_table_t *t)
{
    uint64_t    began;
    ngx_uint_t  n;

    bench_say("structure", 1, sizeof(ngx_http_atls_session_t));

    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    bench_fill(t, BENCH_SESSIONS);
    bench_say("first fill", BENCH_SESSIONS,
              (double) (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began)
              / BENCH_SESSIONS);

    if (bench_used(t) != BENCH_SESSIONS) {
        bench_die("1,000,000 sessions do not fit in 512 MB");
    }

    do {
        n = bench_used(t);
        bench_add(t);
    } while (bench_used(t) != n);

    bench_say("capacity", BENCH_SIZE, n);
    bench_say("bytes", BENCH_SIZE, (double) BENCH_SIZE / n);

    /* the last session has evicted the first one */

    t->ids[0] = t->ids[--t->n];
    bench_expire(t);
}


/* Measurements with one number of sessions; the table is empty afterwards. */

static void
bench_round(bench_table_t *t, ngx_uint_t n)
{
    t->size = n;

    bench_fill(t, n);

    bench_shuffle(t, n, n);
    bench_take(t, NULL, n);         /* changes the order of idle sessions */

    bench_take(t, "take and put", n);
    bench_take(t, NULL, 1000);
    bench_take(t, "take and put, 1000 sessions", 1000);
    bench_unknown(t);
    bench_ids(t);
    bench_change(t);
    bench_record(t, "store a record");

    bench_shuffle(t, n, n);

    while (t->n > n / 10 * 3) {
        bench_drop(t, t->n - 1);
    }

    t->fragmented = 1;
    bench_record(t, "store a record, 70% dropped");
    t->fragmented = 0;

    bench_fill(t, n);
    bench_shuffle(t, n, n);
    bench_take(t, NULL, n);

    bench_expire(t);

    if (bench_used(t) != 0) {
        bench_die("sessions are left");
    }
}


static void
bench_take(bench_table_t *t, char *name, ngx_uint_t n)
{
    uint64_t                  began, spent;
    ngx_uint_t                i, ops, pass;
    ngx_http_atls_session_t  *session;

    ops = quick ? 50000 : 200000;
    spent = 0;

    for (pass = 0; pass < ops; pass += n) {
        bench_shuffle(t, n, n);

        began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

        for (i = 0; i < n; i++) {
            session = bench_session(t, t->ids[i].id);
            bench_put(t, session, BENCH_SHORT);
        }

        spent += bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began;
    }

    if (name) {
        bench_say(name, t->n, (double) spent / pass);
    }
}


static void
bench_unknown(bench_table_t *t)
{
    uint64_t                   began;
    bench_id_t                *ids;
    ngx_uint_t                 i, n;
    ngx_http_atls_owner_t      owner;
    ngx_http_atls_session_t   *session;
    ngx_http_atls_loc_conf_t  *home;

    home = &alcf;
    n = quick ? 50000 : 200000;

    ids = calloc(n, sizeof(bench_id_t));
    if (ids == NULL || RAND_bytes((u_char *) ids, n * sizeof(bench_id_t)) != 1)
    {
        bench_die("no random numbers");
    }

    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

    for (i = 0; i < n; i++) {
        if (ngx_http_atls_session_take(t->zone, ids[i].id, &home, &session,
                                       &owner)
            != ngx_http_atls_take_unknown)
        {
            bench_die("an unknown session is known");
        }
    }

    bench_say("find an unknown id", t->n,
              (double) (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began) / n);

    free(ids);
}


/* Measures a part of a new session that depends on OpenSSL only. */

static void
bench_ids(bench_table_t *t)
{
    u_char      id[NGX_HTTP_ATLS_ID_LEN];
    uint64_t    began;
    ngx_uint_t  i, n;

    n = quick ? 10000 : 50000;
    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

    for (i = 0; i < n; i++) {
        if (RAND_bytes(id, NGX_HTTP_ATLS_ID_LEN) != 1) {
            bench_die("no random numbers");
        }
    }

    bench_say("random id", t->n,
              (double) (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began) / n);
}


/* Adds and drops sessions; their number is the same at the end. */

static void
bench_change(bench_table_t *t)
{
    uint64_t    began, add, drop;
    ngx_uint_t  i, n, ops, before, batch;

    before = t->n;
    batch = ngx_min(before / 10, 1000);
    ops = quick ? 10000 : 50000;
    add = 0;
    drop = 0;

    for (n = 0; n < ops; n += batch) {

        began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

        for (i = 0; i < batch; i++) {
            bench_add(t);
        }

        add += bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began;

        bench_shuffle(t, batch, t->n);

        began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

        for (i = 0; i < batch; i++) {
            bench_drop(t, i);
        }

        drop += bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began;
    }

    bench_say("create, establish and put", before, (double) add / n);
    bench_say("take and remove", before, (double) drop / n);
}


/* Partial records, for several sessions at a time. */

static void
bench_record(bench_table_t *t, char *name)
{
    uint64_t                  began, spent;
    ngx_uint_t                i, n;
    ngx_http_atls_session_t  *sessions[BENCH_RECORDS];

    static u_char             record[BENCH_RECORD];

    spent = 0;

    for (n = 0; n < 10; n++) {

        for (i = 0; i < BENCH_RECORDS; i++) {
            sessions[i] = bench_session(t, t->ids[i].id);
        }

        began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

        for (i = 0; i < BENCH_RECORDS; i++) {
            if (ngx_http_atls_session_store(t->zone, sessions[i],
                                            &sessions[i]->pending,
                                            record, BENCH_RECORD)
                != NGX_OK)
            {
                bench_die("no room for a record");
            }
        }

        for (i = 0; i < BENCH_RECORDS; i++) {
            (void) ngx_http_atls_session_store(t->zone, sessions[i],
                                            &sessions[i]->pending,
                                               NULL, 0);
        }

        spent += bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began;

        for (i = 0; i < BENCH_RECORDS; i++) {
            ngx_http_atls_session_put(t->zone, sessions[i], NULL);
        }

        /* memory freed last is allocated first: not measured */

        if (t->fragmented) {
            n++;
            break;
        }
    }

    bench_say(name, t->size, (double) spent / n / BENCH_RECORDS);
}


/* Expires all sessions with the timer of workers. */

static void
bench_expire(bench_table_t *t)
{
    uint64_t    began, spent;
    ngx_uint_t  n, all, ops, sweeps;

    all = t->n;
    ops = quick ? 20000 : 100000;
    spent = 0;
    sweeps = 0;

    for (n = 0; n < ops; n += all) {

        if (n) {
            bench_fill(t, all);
            bench_shuffle(t, all, all);
            bench_take(t, NULL, all);
        }

        ngx_http_atls_sweep_init_worker(t->zone, &bench_log);
        now.sec += BENCH_TIMEOUT;

        began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

        while (bench_used(t)) {
            ngx_current_msec += 1000;
            ngx_event_expire_timers();
            sweeps++;
        }

        spent += bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began;

        t->n = 0;
    }

    bench_say("expire", all, (double) spent / n);
    bench_say("expired in a sweep", all, (double) n / sweeps);
}


/* A full table: each new session evicts the least recently used one. */

static void
bench_full(char *name, size_t size, ngx_uint_t n)
{
    u_char                    record[BENCH_RECORD];
    uint64_t                  began;
    ngx_uint_t                i, used, ops, kept;
    bench_table_t             t;
    ngx_http_atls_session_t  *sessions[BENCH_TRIES];

    bench_zone(&t, name, size);
    i = 0;

    do {
        used = bench_used(&t);
        bench_add(&t);
    } while (bench_used(&t) != used);

    /* the last session has evicted one of the first */

    while (bench_exists(&t, t.ids[i].id)) {
        i++;
    }

    t.ids[i] = t.ids[--t.n];

    bench_shuffle(&t, t.n, t.n);
    bench_take(&t, NULL, t.n);

    ops = quick ? 10000 : 50000;
    t.n = 0;

    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

    for (i = 0; i < ops; i++) {
        bench_add(&t);
        t.n %= used;
    }

    bench_say("create in a full zone", n,
              (double) (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began) / ops);

    /* is there memory for a partial record, and at what cost? */

    t.n = ops < used ? ops : used;
    ngx_memzero(record, BENCH_RECORD);
    kept = 0;
    used = bench_used(&t);

    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

    for (i = 0; i < BENCH_TRIES; i++) {
        sessions[i] = bench_session(&t, t.ids[(ops - 1 - i) % t.n].id);

        if (ngx_http_atls_session_store(t.zone, sessions[i],
                                        &sessions[i]->pending,
                                        record, BENCH_RECORD)
            == NGX_OK)
        {
            kept++;
        }
    }

    bench_say("store a record in a full zone", n,
              (double) (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began)
              / BENCH_TRIES);

    for (i = 0; i < BENCH_TRIES; i++) {
        (void) ngx_http_atls_session_store(t.zone, sessions[i],
                                        &sessions[i]->pending,
                                           NULL, 0);
        ngx_http_atls_session_put(t.zone, sessions[i], NULL);
    }

    bench_say("records stored in a full zone, of 8", n, kept);
    bench_say("sessions evicted per record", n,
              (double) (used - bench_used(&t)) / BENCH_TRIES);

    ngx_shm_free(&t.zone->shm);
    free(t.ids);
}


/*
 * The locks of operations, and how long they are held.  Sessions are in random
 * order, so that most of the memory is not in caches.
 */

static void
bench_locks(bench_table_t *t)
{
    ngx_uint_t    i;

    static char  *names[] = {
        "take", "put", "put with a response", "put with a longer response",
        "create", "establish", "remove", "store a record"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bench_shuffle(t, BENCH_LOCKED, t->n);
        bench_locked(t, names[i], i);
    }
}


static void
bench_locked(bench_table_t *t, char *name, ngx_uint_t op)
{
    char                      text[64];
    ngx_uint_t                i, kind, n[BENCH_KINDS];
    bench_lock_t              counts[BENCH_KINDS];
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_session_t  *session;

    static char              *kinds[] = { "shard", "zone" };
    static uint64_t           held[BENCH_KINDS][BENCH_LOCKED];

    z = t->zone->data;
    zone_lock = &z->shpool->mutex;
    ngx_memzero(n, sizeof(n));

    for (i = 0; i < BENCH_LOCKED; i++) {

        session = bench_prepare(t, op, t->ids[i].id);

        ngx_memzero(counts, sizeof(counts));
        locks = counts;

        session = bench_operate(t, op, t->ids[i].id, session);

        locks = NULL;

        for (kind = 0; kind < BENCH_KINDS; kind++) {
            n[kind] += counts[kind].n;
            held[kind][i] = counts[kind].n ? counts[kind].held / counts[kind].n
                                           : 0;
        }

        bench_undo(t, op, i, session);
    }

    for (kind = 0; kind < BENCH_KINDS; kind++) {
        qsort(held[kind], BENCH_LOCKED, sizeof(uint64_t), bench_compare);

        sprintf(text, "%s: locks of a %s", name, kinds[kind]);
        bench_say(text, t->n, (double) n[kind] / BENCH_LOCKED);

        sprintf(text, "%s: lock of a %s held", name, kinds[kind]);
        bench_say(text, t->n, held[kind][BENCH_LOCKED / 2]);
    }
}


/* What precedes the operation. */

static ngx_http_atls_session_t *
bench_prepare(bench_table_t *t, ngx_uint_t op, u_char *id)
{
    ngx_http_atls_session_t  *session;

    switch (op) {

    case BENCH_TAKE:
    case BENCH_CREATE:
        return NULL;

    case BENCH_ESTABLISH:
        return ngx_http_atls_session_create(&t->amcf, &alcf, &bench_log);

    case BENCH_RESPONSE:
    case BENCH_LONGER:

        session = bench_session(t, id);
        bench_put(t, session, BENCH_SHORT);

        /* fall through */

    default:
        return bench_session(t, id);
    }
}


static ngx_http_atls_session_t *
bench_operate(bench_table_t *t, ngx_uint_t op, u_char *id,
    ngx_http_atls_session_t *session)
{
    static u_char  record[BENCH_RECORD];

    switch (op) {

    case BENCH_TAKE:
        return bench_session(t, id);

    case BENCH_PUT:
        ngx_http_atls_session_put(t->zone, session, NULL);
        return NULL;

    case BENCH_RESPONSE:
        bench_put(t, session, BENCH_SHORT);
        return NULL;

    case BENCH_LONGER:
        bench_put(t, session, BENCH_LONG);
        return NULL;

    case BENCH_CREATE:
        return ngx_http_atls_session_create(&t->amcf, &alcf, &bench_log);

    case BENCH_ESTABLISH:

        if (ngx_http_atls_session_establish(t->zone, session, &bench_log)
            != NGX_OK)
        {
            bench_die("no room for a session");
        }

        return session;

    case BENCH_REMOVE:
        ngx_http_atls_session_remove(t->zone, session,
                                     ngx_http_atls_ending_close_notify,
                                     &bench_log);
        return NULL;

    default: /* BENCH_STORE */

        if (ngx_http_atls_session_store(t->zone, session, &session->pending,
                                        record, BENCH_RECORD)
            != NGX_OK)
        {
            bench_die("no room for a record");
        }

        return session;
    }
}


/* Undoes the operation, so that the number of sessions is the same. */

static void
bench_undo(bench_table_t *t, ngx_uint_t op, ngx_uint_t i,
    ngx_http_atls_session_t *session)
{
    switch (op) {

    case BENCH_TAKE:
    case BENCH_STORE:

        (void) ngx_http_atls_session_store(t->zone, session, &session->pending,
                                           NULL, 0);
        ngx_http_atls_session_put(t->zone, session, NULL);
        break;

    case BENCH_CREATE:
    case BENCH_ESTABLISH:

        ngx_http_atls_session_remove(t->zone, session,
                                     ngx_http_atls_ending_close_notify,
                                     &bench_log);
        break;

    case BENCH_REMOVE:

        t->ids[i] = t->ids[--t->n];
        bench_add(t);
        break;
    }
}


/* Puts a session back with a response, as POSTs do. */

static void
bench_put(bench_table_t *t, ngx_http_atls_session_t *session, size_t len)
{
    ngx_http_atls_response_t      response;

    static u_char                 data[BENCH_LONG];
    static ngx_http_atls_print_t  print;

    ngx_memzero(&response, sizeof(ngx_http_atls_response_t));

    response.keep = 1;
    response.print = &print;
    response.whole = 1;
    response.len = len;
    response.prefix.data = data;
    response.prefix.len = len;

    ngx_http_atls_session_put(t->zone, session, &response);
}


static int
bench_compare(const void *one, const void *two)
{
    uint64_t  a, b;

    a = *(const uint64_t *) one;
    b = *(const uint64_t *) two;

    return (a > b) - (a < b);
}


/* Each process has its own sessions, as workers do. */

static void
bench_contention(bench_table_t *t, ngx_uint_t procs, ngx_uint_t work)
{
    int              status;
    char             name[64];
    pid_t            pids[BENCH_PROCS];
    uint64_t         began, cpu;
    ngx_uint_t       i, ops, sleeps;
    bench_shared_t  *shared;

    shared = mmap(NULL, sizeof(bench_shared_t), PROT_READ|PROT_WRITE,
                  MAP_ANON|MAP_SHARED, -1, 0);
    if (shared == MAP_FAILED) {
        bench_die("no shared memory");
    }

    bench_shuffle(t, t->n, t->n);

    for (i = 0; i < procs; i++) {
        pids[i] = fork();

        if (pids[i] == -1) {
            bench_die("no process");
        }

        if (pids[i] == 0) {
            bench_contender(t, shared, i, procs, work);
            _exit(0);
        }
    }

    while (shared->ready < procs) {
        usleep(1000);
    }

    began = bench_clock(CLOCK_MONOTONIC);
    shared->go = 1;
    usleep(quick ? 100000 : 500000);
    shared->stop = 1;
    began = bench_clock(CLOCK_MONOTONIC) - began;

    ops = 0;
    cpu = 0;
    waits = 0;
    sleeps = 0;

    for (i = 0; i < procs; i++) {
        if (waitpid(pids[i], &status, 0) == -1 || status != 0) {
            bench_die("a process failed");
        }

        ops += shared->procs[i].ops;
        waits += shared->procs[i].waits;
        sleeps += shared->procs[i].sleeps;
        cpu += shared->procs[i].cpu;
    }

    sprintf(name, "contention, %d ns of work", (int) work);
    bench_say(name, procs, (double) cpu / ops);

    sprintf(name, "rate, %d ns of work", (int) work);
    bench_say(name, procs, ops * 1e9 / began);

    sprintf(name, "waits, %d ns of work", (int) work);
    bench_say(name, procs, waits * 1e6 / ops);

    sprintf(name, "sleeps, %d ns of work", (int) work);
    bench_say(name, procs, sleeps * 1e6 / ops);

    munmap(shared, sizeof(bench_shared_t));
}


static void
bench_contender(bench_table_t *t, bench_shared_t *shared, ngx_uint_t proc,
    ngx_uint_t procs, ngx_uint_t work)
{
    uint64_t                  began;
    ngx_uint_t                i, ops, loops, sleeps;
    ngx_http_atls_session_t  *session;

    ngx_pid = getpid();
    ngx_process_slot = proc + 1;
    ngx_http_atls_worker_init_worker(&cycle, 0);

    /* maps the memory of its sessions */

    for (i = proc; i < t->n; i += procs) {
        session = bench_session(t, t->ids[i].id);
        bench_put(t, session, BENCH_SHORT);
    }

    /* calibrates bench_work() in nanoseconds */

    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    bench_work(10000000);
    loops = work * 10000000.0
            / (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began);

    (void) ngx_atomic_fetch_add((ngx_atomic_t *) &shared->ready, 1);

    while (!shared->go) {
        usleep(100);
    }

    waits = 0;
    sleeps = bench_sleeps();
    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

    for (ops = 0, i = proc; !shared->stop; ops++, i += procs) {

        if (i >= t->n) {
            i = proc;
        }

        session = bench_session(t, t->ids[i].id);
        bench_put(t, session, BENCH_SHORT);

        bench_work(loops);
    }

    shared->procs[proc].cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began;
    shared->procs[proc].ops = ops;
    shared->procs[proc].waits = waits;
    shared->procs[proc].sleeps = bench_sleeps() - sleeps;
}


/* The times that the process has waited for something. */

static ngx_uint_t
bench_sleeps(void)
{
    struct rusage  usage;

    (void) getrusage(RUSAGE_SELF, &usage);

    return usage.ru_nvcsw;
}


static void
bench_work(ngx_uint_t n)
{
    volatile ngx_uint_t  i;

    for (i = 0; i < n; i++) { /* void */ }
}


static void
bench_fill(bench_table_t *t, ngx_uint_t n)
{
    while (t->n < n) {
        bench_add(t);
    }
}


/* Adds a session, as at the end of a handshake. */

static void
bench_add(bench_table_t *t)
{
    ngx_str_t                 sni;
    ngx_http_atls_session_t  *session;

    ngx_str_set(&sni, "localhost");

    session = ngx_http_atls_session_create(&t->amcf, &alcf, &bench_log);
    if (session == NULL) {
        bench_die("no session");
    }

    ngx_memset(&session->state, 1, sizeof(trl_state_t));

    if (ngx_http_atls_session_name(t->zone, session, &sni) != NGX_OK) {
        bench_die("no name for a session");
    }

    if (ngx_http_atls_session_establish(t->zone, session, &bench_log)
        != NGX_OK)
    {
        bench_die("no room for a session");
    }

    ngx_memcpy(t->ids[t->n++].id, session->id, NGX_HTTP_ATLS_ID_LEN);

    ngx_http_atls_session_put(t->zone, session, NULL);
}


/* Drops a session; its id is replaced by the last one. */

static void
bench_drop(bench_table_t *t, ngx_uint_t i)
{
    ngx_http_atls_session_remove(t->zone, bench_session(t, t->ids[i].id),
                                 ngx_http_atls_ending_close_notify, &bench_log);

    t->ids[i] = t->ids[--t->n];
}


static ngx_uint_t
bench_exists(bench_table_t *t, u_char *id)
{
    ngx_http_atls_view_t  view;

    return ngx_http_atls_session_view(t->zone, id, &alcf, &view) == NGX_OK;
}


static ngx_http_atls_session_t *
bench_session(bench_table_t *t, u_char *id)
{
    ngx_http_atls_owner_t      owner;
    ngx_http_atls_session_t   *session;
    ngx_http_atls_loc_conf_t  *home;

    home = &alcf;

    if (ngx_http_atls_session_take(t->zone, id, &home, &session, &owner)
        != ngx_http_atls_take_ok)
    {
        bench_die("a session is lost");
    }

    return session;
}


/* Moves n random ids of the first "of" ids to the start, in random order. */

static void
bench_shuffle(bench_table_t *t, ngx_uint_t n, ngx_uint_t of)
{
    bench_id_t  id;
    ngx_uint_t  i, k;

    for (i = 0; i < n; i++) {
        k = i + bench_random() % (of - i);

        id = t->ids[i];
        t->ids[i] = t->ids[k];
        t->ids[k] = id;
    }
}


/* Returns the number of entries used in the zone. */

static ngx_uint_t
bench_used(bench_table_t *t)
{
    ngx_uint_t            i, n;
    ngx_http_atls_stat_t  stat;

    ngx_http_atls_session_stat(t->zone, &stat);

    n = 0;

    for (i = 0; i < ngx_http_atls_kinds; i++) {
        n += stat.count[i];
    }

    return n;
}


static uint64_t
bench_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed;
}


static uint64_t
bench_clock(clockid_t id)
{
    struct timespec  ts;

    clock_gettime(id, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static void
bench_say(char *name, ngx_uint_t n, double value)
{
    printf("%s\t%lu\t%.1f\n", name, (unsigned long) n, value);
}


static void
bench_die(char *text)
{
    fprintf(stderr, "table: %s\n", text);
    exit(1);
}
