
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_table.h"
#include "ngx_http_atls_zone.h"

#include <openssl/rand.h>


#define NGX_HTTP_ATLS_ZONE_SIZE  (10 * 1024 * 1024)

/* Two pages: of the second one, nothing is used. */

#define NGX_HTTP_ATLS_LOCK_SIZE  (2 * ngx_pagesize)


static ngx_int_t ngx_http_atls_zone_set(ngx_conf_t *cf, ngx_str_t *name,
    size_t size);
static ngx_int_t ngx_http_atls_zone_add_locks(ngx_conf_t *cf,
    ngx_http_atls_zone_t *z, ngx_str_t *name, size_t size);
static ngx_int_t ngx_http_atls_zone_init_lock(ngx_shm_zone_t *zone, void *data);
static ngx_int_t ngx_http_atls_zone_init(ngx_shm_zone_t *zone, void *data);
static ngx_int_t ngx_http_atls_zone_create(ngx_http_atls_zone_t *z);
static ngx_http_atls_tickets_t *ngx_http_atls_zone_create_tickets(
    ngx_slab_pool_t *shpool, size_t size);
static ngx_int_t ngx_http_atls_zone_init_tickets(
    ngx_http_atls_tickets_t *tickets);


char *
ngx_http_atls_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atls_main_conf_t *amcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, name, s;

    if (amcf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    p = ngx_strlchr(value[1].data, value[1].data + value[1].len, ':');

    if (p == NULL || p == value[1].data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone \"%V\", use \"name:size\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    name.data = value[1].data;
    name.len = p - value[1].data;

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_atls_zone_set(cf, &name, size) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_atls_zone_default(ngx_conf_t *cf)
{
    ngx_str_t                   name;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    if (amcf->zone) {
        return NGX_OK;
    }

    ngx_str_set(&name, "atls");

    return ngx_http_atls_zone_set(cf, &name, NGX_HTTP_ATLS_ZONE_SIZE);
}


/* Adds the zone of sessions, and those of workers and of counters. */

static ngx_int_t
ngx_http_atls_zone_set(ngx_conf_t *cf, ngx_str_t *name, size_t size)
{
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    amcf->zone = ngx_http_atls_zone_add(cf, name, size);
    amcf->workers = ngx_http_atls_worker_zone(cf);

    amcf->counters = ngx_http_atls_counters_zone(cf);

    return amcf->zone && amcf->workers && amcf->counters ? NGX_OK : NGX_ERROR;
}


ngx_shm_zone_t *
ngx_http_atls_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size)
{
    ngx_shm_zone_t        *zone;
    ngx_http_atls_zone_t  *z;

    zone = ngx_shared_memory_add(cf, name, size, &ngx_http_atls_module);
    if (zone == NULL) {
        return NULL;
    }

    z = ngx_pcalloc(cf->pool, sizeof(ngx_http_atls_zone_t));
    if (z == NULL) {
        return NULL;
    }

    zone->init = ngx_http_atls_zone_init;
    zone->data = z;

    if (ngx_http_atls_zone_add_locks(cf, z, name, size) != NGX_OK) {
        return NULL;
    }

    return zone;
}


/*
 * For each shard of the table, a zone that only consists of a lock, see
 * ngx_http_atls_table.h.  The name of atls_zone has no colon.
 */

static ngx_int_t
ngx_http_atls_zone_add_locks(ngx_conf_t *cf, ngx_http_atls_zone_t *z,
    ngx_str_t *name, size_t size)
{
    ngx_str_t   lock;
    ngx_uint_t  i;

    z->nlocks = ngx_http_atls_table_shards(size);

    z->locks = ngx_palloc(cf->pool, z->nlocks * sizeof(ngx_shm_zone_t *));
    if (z->locks == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < z->nlocks; i++) {

        lock.data = ngx_pnalloc(cf->pool, name->len + 1 + NGX_INT_T_LEN);
        if (lock.data == NULL) {
            return NGX_ERROR;
        }

        lock.len = ngx_sprintf(lock.data, "%V:%ui", name, i) - lock.data;

        z->locks[i] = ngx_shared_memory_add(cf, &lock, NGX_HTTP_ATLS_LOCK_SIZE,
                                            &ngx_http_atls_module);
        if (z->locks[i] == NULL) {
            return NGX_ERROR;
        }

        z->locks[i]->init = ngx_http_atls_zone_init_lock;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_zone_init_lock(ngx_shm_zone_t *zone, void *data)
{
    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_atls_zone_t  *old = data;

    ngx_http_atls_zone_t  *z;

    z = zone->data;
    z->zone = zone;

    /* all workers map the zone: exclude the keys from their core dumps */

    if (ngx_http_atls_no_dump(zone->shm.addr, zone->shm.size) == -1) {
        ngx_log_error(NGX_LOG_NOTICE, zone->shm.log, ngx_errno,
                      "core dumps will contain atls_zone \"%V\", "
                      "madvise() failed", &zone->shm.name);
    }

    if (old == NULL) {
        return ngx_http_atls_zone_create(z);
    }

    /*
     * The tag of the zone is this module, so the layout is the same, unless
     * the module was replaced on disk and loaded again.
     */

    if (!ngx_http_atls_table_known(old->table)) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "atls_zone \"%V\" has a different layout",
                      &zone->shm.name);
        return NGX_ERROR;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, zone->shm.log, 0,
                   "atls zone \"%V\" reused, entries in use:%uD",
                   &zone->shm.name, old->table->entries.touched);

    z->table = old->table;
    z->shpool = old->shpool;

    return NGX_OK;
}


/* The table is created last, in the remaining memory. */

static ngx_int_t
ngx_http_atls_zone_create(ngx_http_atls_zone_t *z)
{
    size_t                    len;
    ngx_shm_zone_t           *zone;
    ngx_slab_pool_t          *shpool;
    ngx_http_atls_tickets_t  *tickets;

    zone = z->zone;
    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    len = sizeof(" in atls_zone \"\"") + zone->shm.name.len;

    shpool->log_ctx = ngx_slab_alloc(shpool, len);
    if (shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(shpool->log_ctx, " in atls_zone \"%V\"%Z", &zone->shm.name);

    tickets = ngx_http_atls_zone_create_tickets(shpool, zone->shm.size);
    if (tickets == NULL) {
        return NGX_ERROR;
    }

    z->shpool = shpool;

    if (ngx_http_atls_table_create(z) != NGX_OK) {
        return NGX_ERROR;
    }

    z->table->tickets = tickets;

    return ngx_http_atls_zone_init_tickets(tickets);
}


static ngx_http_atls_tickets_t *
ngx_http_atls_zone_create_tickets(ngx_slab_pool_t *shpool, size_t size)
{
    size_t                    n;
    ngx_http_atls_tickets_t  *tickets;

    n = ngx_max(size / 64, 1024);

    tickets = ngx_slab_calloc(shpool, sizeof(ngx_http_atls_tickets_t) + n);
    if (tickets == NULL) {
        return NULL;
    }

    tickets->window = n * 8;

    return tickets;
}


static ngx_int_t
ngx_http_atls_zone_init_tickets(ngx_http_atls_tickets_t *tickets)
{
    if (RAND_bytes((u_char *) &tickets->keys,
                   sizeof(ngx_http_atls_ticket_keys_t))
        != 1
        || RAND_bytes((u_char *) &tickets->zone, sizeof(uint64_t)) != 1)
    {
        ngx_ssl_error(NGX_LOG_EMERG, ngx_cycle->log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    tickets->keys.current.expire = 0;
    tickets->keys.previous.expire = 0;
    tickets->keys.generation = 1;

    return NGX_OK;
}


/* nginx reuses a zone only if the size is the same. */

void
ngx_http_atls_zone_init_module(ngx_shm_zone_t *zone)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_shm_zone_t   *old, *renamed;

    renamed = NULL;

    /* zones of the previous cycle, if any */

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    old = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            old = part->elts;
            i = 0;
        }

        if (old[i].init != zone->init) {
            continue;
        }

        renamed = &old[i];

        if (old[i].shm.name.len == zone->shm.name.len
            && ngx_strncmp(old[i].shm.name.data, zone->shm.name.data,
                           zone->shm.name.len)
               == 0)
        {
            if (old[i].shm.addr == zone->shm.addr) {
                return;
            }

            ngx_log_error(NGX_LOG_NOTICE, zone->shm.log, 0,
                          "atls_zone \"%V\" resized, its sessions are lost",
                          &zone->shm.name);
            return;
        }
    }

    if (renamed) {
        ngx_log_error(NGX_LOG_NOTICE, zone->shm.log, 0,
                      "atls_zone \"%V\" renamed to \"%V\", "
                      "its sessions are lost",
                      &renamed->shm.name, &zone->shm.name);
    }
}


ngx_http_atls_tickets_t *
ngx_http_atls_zone_tickets(ngx_shm_zone_t *zone)
{
    ngx_http_atls_zone_t *z = zone->data;

    return z->table->tickets;
}
