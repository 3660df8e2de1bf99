
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


/*
 * Measures the session table of the module, in a shared memory zone of nginx:
 * the program is nginx with another main().
 *
 *     table [-q]                  -q: quickly
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
#define BENCH_PROCS     8
#define BENCH_TIMEOUT   600


typedef struct {
    u_char                       id[NGX_HTTP_ATLS_ID_LEN];
} bench_id_t;


typedef struct {
    volatile ngx_uint_t          ready;
    volatile ngx_uint_t          go;
    volatile ngx_uint_t          stop;

    struct {
        ngx_uint_t               ops;
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


int64_t __wrap_ngx_http_atls_clock(void);
time_t __wrap_ngx_http_atls_clock_since(int64_t then);

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
static void bench_contention(bench_table_t *t, ngx_uint_t procs,
    ngx_uint_t work);
static void bench_contender(bench_table_t *t, bench_shared_t *shared,
    ngx_uint_t proc, ngx_uint_t procs, ngx_uint_t work);
static void bench_work(ngx_uint_t n);
static void bench_fill(bench_table_t *t, ngx_uint_t n);
static void bench_add(bench_table_t *t);
static void bench_drop(bench_table_t *t, ngx_uint_t i);
static ngx_http_atls_session_t *bench_session(bench_table_t *t, u_char *id);
static void bench_shuffle(bench_table_t *t, ngx_uint_t n, ngx_uint_t of);
static ngx_uint_t bench_used(bench_table_t *t);
static uint64_t bench_random(void);
static uint64_t bench_clock(clockid_t id);
static void bench_say(char *name, ngx_uint_t n, double value);
static void bench_die(char *text);


static ngx_uint_t       quick;
static uint64_t         seed = 88172645463325252ull;

static ngx_uint_t       sizes[] = { 1000, 100000, BENCH_SESSIONS };

static ngx_pool_t      *pool;
static ngx_cycle_t      cycle, empty;
static ngx_conf_t       conf;
static ngx_log_t        bench_log;
static ngx_open_file_t  bench_log_file;
static ngx_time_t       now;

static ngx_http_atls_loc_conf_t  alcf;


int
main(int argc, char **argv)
{
    ngx_uint_t     i, p, rounds;
    bench_table_t  t;

    quick = argc > 1 && strcmp(argv[1], "-q") == 0;
    rounds = quick ? 1 : 5;

    setvbuf(stdout, NULL, _IOLBF, 0);

    if (bench_init() != NGX_OK) {
        bench_die("can't start");
    }

    bench_zone(&t, "bench", BENCH_SIZE);
    bench_sizes(&t);

    while (rounds--) {

        for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            bench_round(&t, sizes[i]);
        }

        bench_fill(&t, 100000);

        for (p = 1; p <= BENCH_PROCS; p <<= 1) {
            bench_contention(&t, p, 0);
        }

        for (p = 1; p <= BENCH_PROCS; p <<= 1) {
            bench_contention(&t, p, 20000);
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
    ngx_str_t        s;
    ngx_shm_zone_t  *zone;

    ngx_memzero(t, sizeof(bench_table_t));

    bench_zones();

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    zone = ngx_http_atls_zone_add(&conf, &s, size);
    if (zone == NULL) {
        bench_die("no zone");
    }

    bench_memory(zone);

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
            ngx_http_atls_session_put(t->zone, session);
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
    uint64_t                  began;
    bench_id_t               *ids;
    ngx_uint_t                i, n;
    ngx_http_atls_owner_t     owner;
    ngx_http_atls_session_t  *session;

    n = quick ? 50000 : 200000;

    ids = calloc(n, sizeof(bench_id_t));
    if (ids == NULL || RAND_bytes((u_char *) ids, n * sizeof(bench_id_t)) != 1)
    {
        bench_die("no random numbers");
    }

    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

    for (i = 0; i < n; i++) {
        if (ngx_http_atls_session_take(t->zone, ids[i].id, &alcf, &session,
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
            if (ngx_http_atls_session_store(t->zone, &sessions[i]->pending,
                                            record, BENCH_RECORD)
                != NGX_OK)
            {
                bench_die("no room for a record");
            }
        }

        for (i = 0; i < BENCH_RECORDS; i++) {
            (void) ngx_http_atls_session_store(t->zone, &sessions[i]->pending,
                                               NULL, 0);
        }

        spent += bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began;

        for (i = 0; i < BENCH_RECORDS; i++) {
            ngx_http_atls_session_put(t->zone, sessions[i]);
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

    do {
        used = bench_used(&t);
        bench_add(&t);
    } while (bench_used(&t) != used);

    /* the last session has evicted the first one */

    t.ids[0] = t.ids[--t.n];

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

        if (ngx_http_atls_session_store(t.zone, &sessions[i]->pending,
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
        (void) ngx_http_atls_session_store(t.zone, &sessions[i]->pending,
                                           NULL, 0);
        ngx_http_atls_session_put(t.zone, sessions[i]);
    }

    bench_say("records stored in a full zone, of 8", n, kept);
    bench_say("sessions evicted per record", n,
              (double) (used - bench_used(&t)) / BENCH_TRIES);

    ngx_shm_free(&t.zone->shm);
    free(t.ids);
}


/* Each process has its own sessions, as workers do. */

static void
bench_contention(bench_table_t *t, ngx_uint_t procs, ngx_uint_t work)
{
    int              status;
    char             name[64];
    pid_t            pids[BENCH_PROCS];
    uint64_t         began, cpu;
    ngx_uint_t       i, ops;
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

    for (i = 0; i < procs; i++) {
        if (waitpid(pids[i], &status, 0) == -1 || status != 0) {
            bench_die("a process failed");
        }

        ops += shared->procs[i].ops;
        cpu += shared->procs[i].cpu;
    }

    sprintf(name, "contention, %d ns of work", (int) work);
    bench_say(name, procs, (double) cpu / ops);

    sprintf(name, "rate, %d ns of work", (int) work);
    bench_say(name, procs, ops * 1e9 / began);

    munmap(shared, sizeof(bench_shared_t));
}


static void
bench_contender(bench_table_t *t, bench_shared_t *shared, ngx_uint_t proc,
    ngx_uint_t procs, ngx_uint_t work)
{
    uint64_t                  began;
    ngx_uint_t                i, ops, loops;
    ngx_http_atls_session_t  *session;

    ngx_pid = getpid();
    ngx_process_slot = proc + 1;
    ngx_http_atls_worker_init_worker(&cycle, 0);

    /* calibrates bench_work() in nanoseconds */

    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    bench_work(10000000);
    loops = work * 10000000.0
            / (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began);

    (void) ngx_atomic_fetch_add((ngx_atomic_t *) &shared->ready, 1);

    while (!shared->go) {
        usleep(100);
    }

    began = bench_clock(CLOCK_PROCESS_CPUTIME_ID);

    for (ops = 0, i = proc; !shared->stop; ops++, i += procs) {

        if (i >= t->n) {
            i = proc;
        }

        session = bench_session(t, t->ids[i].id);
        ngx_http_atls_session_put(t->zone, session);

        bench_work(loops);
    }

    shared->procs[proc].cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - began;
    shared->procs[proc].ops = ops;
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

    ngx_http_atls_session_put(t->zone, session);
}


/* Drops a session; its id is replaced by the last one. */

static void
bench_drop(bench_table_t *t, ngx_uint_t i)
{
    ngx_http_atls_session_remove(t->zone, bench_session(t, t->ids[i].id));

    t->ids[i] = t->ids[--t->n];
}


static ngx_http_atls_session_t *
bench_session(bench_table_t *t, u_char *id)
{
    ngx_http_atls_owner_t     owner;
    ngx_http_atls_session_t  *session;

    if (ngx_http_atls_session_take(t->zone, id, &alcf, &session, &owner)
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
    ngx_uint_t             i, n;
    ngx_http_atls_zone_t  *z;

    z = t->zone->data;
    n = 0;

    for (i = 0; i < ngx_http_atls_kinds; i++) {
        n += z->table->count[i];
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
