
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_associations.h"

#include <openssl/rand.h>


/* The version of the structure and of its use, changed together with them. */

#define NGX_HTTP_ATLS_ASSOCIATIONS_LAYOUT  1

/*
 * The last associations whose use is known, in bits; older ones are not
 * accepted.
 */

#define NGX_HTTP_ATLS_ASSOCIATIONS_WINDOW  (1024 * 1024)


typedef struct {
    ngx_uint_t                       layout;

    ngx_http_atls_association_key_t  current;
    ngx_http_atls_association_key_t  previous;

    uint64_t                         zone;     /* random id, not 0 */
    uint64_t                         issued;   /* last number assigned */
    u_char                           used[NGX_HTTP_ATLS_ASSOCIATIONS_WINDOW
                                          / 8];
} ngx_http_atls_associations_t;


static ngx_int_t ngx_http_atls_associations_init(ngx_shm_zone_t *zone,
    void *data);
static ngx_http_atls_associations_t *ngx_http_atls_associations_create(
    ngx_shm_zone_t *zone);
static void ngx_http_atls_associations_rotate(
    ngx_http_atls_associations_t *associations,
    ngx_http_atls_association_key_t *fresh, time_t now);
static ngx_slab_pool_t *ngx_http_atls_associations_pool(ngx_shm_zone_t *zone);


ngx_int_t
ngx_http_atls_associations_add(ngx_conf_t *cf)
{
    ngx_http_atls_main_conf_t  *amcf;

    static ngx_str_t  name = ngx_string("atls_associations");

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    if (amcf->associations) {
        return NGX_OK;
    }

    amcf->associations = ngx_http_atls_worker_add_zone(cf, &name,
                                       sizeof(ngx_http_atls_associations_t),
                                       ngx_http_atls_associations_init);

    return amcf->associations ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_atls_associations_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_atls_associations_t  *associations = data;

    /* all workers map the zone: exclude the keys from their core dumps */

    if (ngx_http_atls_no_dump(zone->shm.addr, zone->shm.size) == -1) {
        ngx_log_error(NGX_LOG_NOTICE, zone->shm.log, ngx_errno,
                      "core dumps will contain zone \"%V\", madvise() failed",
                      &zone->shm.name);
    }

    if (associations == NULL) {
        associations = ngx_http_atls_associations_create(zone);
        if (associations == NULL) {
            return NGX_ERROR;
        }
    }

    if (associations->layout != NGX_HTTP_ATLS_ASSOCIATIONS_LAYOUT) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "zone \"%V\" has a different layout", &zone->shm.name);
        return NGX_ERROR;
    }

    zone->data = associations;

    return NGX_OK;
}


static ngx_http_atls_associations_t *
ngx_http_atls_associations_create(ngx_shm_zone_t *zone)
{
    ngx_http_atls_associations_t  *associations;

    associations = ngx_slab_calloc(ngx_http_atls_associations_pool(zone),
                                   sizeof(ngx_http_atls_associations_t));
    if (associations == NULL) {
        return NULL;
    }

    associations->layout = NGX_HTTP_ATLS_ASSOCIATIONS_LAYOUT;

    /*
     * With another id after a restart, associations that may have been used
     * are not accepted.  Keys are random even if they are not used: the clock
     * may begin with 0.
     */

    do {
        if (RAND_bytes((u_char *) &associations->current,
                       sizeof(ngx_http_atls_association_key_t))
            != 1
            || RAND_bytes((u_char *) &associations->previous,
                          sizeof(ngx_http_atls_association_key_t))
               != 1
            || RAND_bytes((u_char *) &associations->zone, sizeof(uint64_t))
               != 1)
        {
            ngx_ssl_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "RAND_bytes() failed");
            return NULL;
        }
    } while (associations->zone == 0);

    associations->current.expire = 0;
    associations->previous.expire = 0;

    return associations;
}


ngx_int_t
ngx_http_atls_associations_key(ngx_shm_zone_t *zone, time_t lifetime,
    ngx_http_atls_association_key_t *key, ngx_log_t *log)
{
    time_t                            now;
    ngx_slab_pool_t                  *shpool;
    ngx_http_atls_association_key_t   fresh;
    ngx_http_atls_associations_t     *associations;

    shpool = ngx_http_atls_associations_pool(zone);
    associations = zone->data;

    /* usually not needed, but generated without holding the lock */

    if (RAND_bytes((u_char *) &fresh, sizeof(ngx_http_atls_association_key_t))
        != 1)
    {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    now = ngx_http_atls_clock_since(0);

    /* a whole second more, since times are rounded */

    fresh.expire = now + lifetime + 1;

    ngx_shmtx_lock(&shpool->mutex);

    ngx_http_atls_associations_rotate(associations, &fresh, now);

    *key = associations->current;

    ngx_shmtx_unlock(&shpool->mutex);

    ngx_explicit_memzero(&fresh, sizeof(ngx_http_atls_association_key_t));

    return NGX_OK;
}


/*
 * As for tickets: keys are rotated when all associations of the previous key
 * have expired, whatever the lifetimes.
 */

static void
ngx_http_atls_associations_rotate(ngx_http_atls_associations_t *associations,
    ngx_http_atls_association_key_t *fresh, time_t now)
{
    ngx_http_atls_association_key_t  *current, *previous;

    current = &associations->current;
    previous = &associations->previous;

    if (previous->expire < now) {

        *previous = *current;
        *current = *fresh;

        /* otherwise, the next association would change the keys again */

        if (previous->expire < now) {
            *previous = *fresh;
        }
    }

    current->expire = ngx_max(current->expire, fresh->expire);
}


ngx_int_t
ngx_http_atls_associations_find(ngx_shm_zone_t *zone, const u_char *name,
    ngx_http_atls_association_key_t *key)
{
    ngx_int_t                         rc;
    ngx_slab_pool_t                  *shpool;
    ngx_http_atls_association_key_t  *found;
    ngx_http_atls_associations_t     *associations;

    shpool = ngx_http_atls_associations_pool(zone);
    associations = zone->data;

    rc = NGX_DECLINED;
    found = &associations->current;

    ngx_shmtx_lock(&shpool->mutex);

    if (ngx_memcmp(found->name, name, NGX_HTTP_ATLS_ASSOCIATION_NAME_LEN)
        != 0)
    {
        found = &associations->previous;
    }

    if (found->expire
        && ngx_memcmp(found->name, name, NGX_HTTP_ATLS_ASSOCIATION_NAME_LEN)
           == 0)
    {
        *key = *found;
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


void
ngx_http_atls_associations_issue(ngx_shm_zone_t *zone,
    ngx_http_atls_association_once_t *once)
{
    uint64_t                       n;
    ngx_slab_pool_t               *shpool;
    ngx_http_atls_associations_t  *associations;

    shpool = ngx_http_atls_associations_pool(zone);
    associations = zone->data;

    ngx_shmtx_lock(&shpool->mutex);

    once->zone = associations->zone;
    once->number = ++associations->issued;

    n = once->number % NGX_HTTP_ATLS_ASSOCIATIONS_WINDOW;

    associations->used[n / 8] &= ~(1 << n % 8);

    ngx_shmtx_unlock(&shpool->mutex);
}


ngx_uint_t
ngx_http_atls_associations_unused(ngx_shm_zone_t *zone,
    ngx_http_atls_association_once_t *once, ngx_uint_t use)
{
    u_char                        *used, mask;
    uint64_t                       n;
    ngx_uint_t                     unused;
    ngx_slab_pool_t               *shpool;
    ngx_http_atls_associations_t  *associations;

    if (once->zone == 0) {
        return 1;
    }

    shpool = ngx_http_atls_associations_pool(zone);
    associations = zone->data;

    n = once->number % NGX_HTTP_ATLS_ASSOCIATIONS_WINDOW;

    used = &associations->used[n / 8];
    mask = 1 << n % 8;

    ngx_shmtx_lock(&shpool->mutex);

    unused = once->zone == associations->zone
             && associations->issued - once->number
                < NGX_HTTP_ATLS_ASSOCIATIONS_WINDOW
             && (*used & mask) == 0;

    if (unused && use) {
        *used |= mask;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return unused;
}


static ngx_slab_pool_t *
ngx_http_atls_associations_pool(ngx_shm_zone_t *zone)
{
    return (ngx_slab_pool_t *) zone->shm.addr;
}
