
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_counters.h"


/* The version of the structures, changed together with them. */

#define NGX_HTTP_ATLS_COUNTERS_LAYOUT  7

/* of a set: no cache line is shared by two processes */

#define NGX_HTTP_ATLS_COUNTERS_SIZE                                           \
    ngx_align(sizeof(ngx_http_atls_counters_t), ngx_cacheline_size)


typedef struct {
    ngx_uint_t                 layout;
    size_t                     size;           /* of a set */
    time_t                     since;
    ngx_uint_t                 used[NGX_MAX_PROCESSES];
    u_char                    *sets;
} ngx_http_atls_sets_t;


#define ngx_http_atls_counters_set(sets, slot)                                \
    ((ngx_http_atls_counters_t *) ((sets)->sets + (slot) * (sets)->size))


static ngx_int_t ngx_http_atls_counters_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_http_atls_sets_t *ngx_http_atls_counters_create(
    ngx_slab_pool_t *shpool);
static void ngx_http_atls_counters_add(uint64_t *sum, uint64_t *values,
    ngx_uint_t n);
static void ngx_http_atls_counters_merge(uint64_t *sum, uint64_t *tally);


static ngx_msec_t  ngx_http_atls_counters_limits[NGX_HTTP_ATLS_BUCKETS] = {
    1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 0
};


ngx_shm_zone_t *
ngx_http_atls_counters_zone(ngx_conf_t *cf)
{
    size_t  size;

    static ngx_str_t  name = ngx_string("atls_counters");

    size = ngx_align(sizeof(ngx_http_atls_sets_t), ngx_pagesize)
           + NGX_MAX_PROCESSES * NGX_HTTP_ATLS_COUNTERS_SIZE;

    return ngx_http_atls_worker_add_zone(cf, &name, size,
                                         ngx_http_atls_counters_init_zone);
}


static ngx_int_t
ngx_http_atls_counters_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_atls_sets_t  *sets = data;

    if (sets == NULL) {
        sets = ngx_http_atls_counters_create((ngx_slab_pool_t *)
                                             zone->shm.addr);
        if (sets == NULL) {
            return NGX_ERROR;
        }
    }

    if (sets->layout != NGX_HTTP_ATLS_COUNTERS_LAYOUT
        || sets->size != NGX_HTTP_ATLS_COUNTERS_SIZE)
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "zone \"%V\" has a different layout", &zone->shm.name);
        return NGX_ERROR;
    }

    zone->data = sets;

    return NGX_OK;
}


/*
 * All sets are allocated, since workers must not use the slab allocator: it
 * would be corrupted by one that dies in it.  Pages are not written to before
 * they are used.
 */

static ngx_http_atls_sets_t *
ngx_http_atls_counters_create(ngx_slab_pool_t *shpool)
{
    ngx_http_atls_sets_t  *sets;

    sets = ngx_slab_calloc(shpool, sizeof(ngx_http_atls_sets_t));
    if (sets == NULL) {
        return NULL;
    }

    sets->layout = NGX_HTTP_ATLS_COUNTERS_LAYOUT;
    sets->size = NGX_HTTP_ATLS_COUNTERS_SIZE;
    sets->since = ngx_time();

    sets->sets = ngx_slab_alloc(shpool, NGX_MAX_PROCESSES * sets->size);

    return sets->sets ? sets : NULL;
}


void
ngx_http_atls_counters_init_worker(ngx_shm_zone_t *zone)
{
    ngx_http_atls_sets_t      *sets;
    ngx_http_atls_counters_t  *counters;

    sets = zone->data;

    counters = ngx_http_atls_counters_set(sets, ngx_process_slot);

    if (!sets->used[ngx_process_slot]) {
        ngx_memzero(counters, sizeof(ngx_http_atls_counters_t));

        ngx_memory_barrier();

        sets->used[ngx_process_slot] = 1;
    }

    counters->handshaking = 0;
    counters->parked = 0;

    /* the cache manager and loader serve no requests */

    counters->owner = (ngx_process == NGX_PROCESS_HELPER)
                      ? 0 : ngx_http_atls_process.owner.id;

    ngx_http_atls_process.counters = counters;
}


void
ngx_http_atls_counters_sum(ngx_shm_zone_t *zone, ngx_http_atls_counters_t *sum)
{
    ngx_uint_t                 i;
    ngx_http_atls_sets_t      *sets;
    ngx_http_atls_owner_t      owner;
    ngx_http_atls_counters_t  *set;

    sets = zone->data;

    ngx_memzero(sum, sizeof(ngx_http_atls_counters_t));

#define ngx_http_atls_counters_add_member(member)                             \
    ngx_http_atls_counters_add((uint64_t *) &sum->member,                     \
                               (uint64_t *) &set->member,                     \
                               sizeof(sum->member) / sizeof(uint64_t))

    for (i = 0; i < NGX_MAX_PROCESSES; i++) {
        if (!sets->used[i]) {
            continue;
        }

        set = ngx_http_atls_counters_set(sets, i);

        ngx_http_atls_counters_add_member(posts);
        ngx_http_atls_counters_add_member(named);
        ngx_http_atls_counters_add_member(requests);
        ngx_http_atls_counters_add_member(records);
        ngx_http_atls_counters_add_member(ciphertext);
        ngx_http_atls_counters_add_member(plaintext);
        ngx_http_atls_counters_add_member(post_time);
        ngx_http_atls_counters_add_member(handshakes);
        ngx_http_atls_counters_add_member(handshake_time);
        ngx_http_atls_counters_add_member(resumptions);
        ngx_http_atls_counters_add_member(early_data);
        ngx_http_atls_counters_add_member(refused);
        ngx_http_atls_counters_add_member(alerts);
        ngx_http_atls_counters_add_member(key_updates);
        ngx_http_atls_counters_add_member(relays);
        ngx_http_atls_counters_add_member(store);
        ngx_http_atls_counters_add_member(associations);

        ngx_http_atls_counters_merge(sum->statuses, set->statuses);
        ngx_http_atls_counters_merge(sum->protocols, set->protocols);
        ngx_http_atls_counters_merge(sum->suites, set->suites);
        ngx_http_atls_counters_merge(sum->groups, set->groups);

        owner.id = (uint32_t) set->owner;
        owner.slot = (uint32_t) i;

        if (owner.id && ngx_http_atls_worker_alive(&owner)) {
            sum->handshaking += set->handshaking;
            sum->parked += set->parked;
            sum->owner++;
        }
    }
}


static void
ngx_http_atls_counters_add(uint64_t *sum, uint64_t *values, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        sum[i] += values[i];
    }
}


static void
ngx_http_atls_counters_merge(uint64_t *sum, uint64_t *tally)
{
    uint64_t    word, key;
    ngx_uint_t  i, n;

    for (i = 0; i < NGX_HTTP_ATLS_KEYS; i++) {

        word = tally[i];
        key = word >> NGX_HTTP_ATLS_KEY_SHIFT;

        /* on 32-bit systems, a process may have died between two halves */

        if (key == 0) {
            continue;
        }

        for (n = 0; n < NGX_HTTP_ATLS_KEYS - 1; n++) {
            if (sum[n] == 0 || sum[n] >> NGX_HTTP_ATLS_KEY_SHIFT == key) {
                break;
            }
        }

        if (n == NGX_HTTP_ATLS_KEYS - 1) {
            key = NGX_HTTP_ATLS_KEY_OTHER + 1;
        }

        sum[n] = (key << NGX_HTTP_ATLS_KEY_SHIFT)
                 + ngx_http_atls_tally_count(sum[n])
                 + ngx_http_atls_tally_count(word);
    }
}


time_t
ngx_http_atls_counters_since(ngx_shm_zone_t *zone)
{
    ngx_http_atls_sets_t  *sets = zone->data;

    return sets->since;
}


void
ngx_http_atls_count_time(ngx_http_atls_histogram_t *histogram, ngx_msec_t msec)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_ATLS_BUCKETS - 1; i++) {
        if (msec <= ngx_http_atls_counters_limits[i]) {
            break;
        }
    }

    histogram->buckets[i]++;
    histogram->sum += msec;
}


void
ngx_http_atls_count_key(uint64_t *tally, ngx_uint_t key)
{
    uint64_t    word;
    ngx_uint_t  i;

    word = (uint64_t) (key + 1);

    for (i = 0; i < NGX_HTTP_ATLS_KEYS - 1; i++) {

        if (tally[i] >> NGX_HTTP_ATLS_KEY_SHIFT == word) {
            tally[i]++;
            return;
        }

        if (tally[i] >> NGX_HTTP_ATLS_KEY_SHIFT == 0) {
            tally[i] = (word << NGX_HTTP_ATLS_KEY_SHIFT) + 1;
            return;
        }
    }

    word = NGX_HTTP_ATLS_KEY_OTHER + 1;

    tally[i] = (word << NGX_HTTP_ATLS_KEY_SHIFT)
               + ngx_http_atls_tally_count(tally[i]) + 1;
}


ngx_msec_t
ngx_http_atls_counters_limit(ngx_uint_t bucket)
{
    return ngx_http_atls_counters_limits[bucket];
}
