
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"

#include <openssl/rand.h>


/* Of this file's structures; with ATLS_STATE_VERSION it names the layout. */

#define NGX_HTTP_ATLS_LAYOUT  ((4 << 16) | ATLS_STATE_VERSION)

#define NGX_HTTP_ATLS_SWEEP   1000      /* milliseconds between sweeps */


struct ngx_http_atls_piece_s {
    ngx_http_atls_piece_t       *next;
    u_char                       data[sizeof(ngx_http_atls_session_t)
                                      - sizeof(ngx_http_atls_piece_t *)];
};


typedef struct {
    ngx_uint_t                   layout;
    size_t                       session_size;

    ngx_queue_t                  handshakes;    /* the oldest last */
    ngx_queue_t                  idle;          /* the longest idle last */
    ngx_queue_t                  residents;     /* likewise */
    ngx_queue_t                  busy;

    time_t                       full;          /* last said in the log */

    ngx_http_atls_tickets_t     *tickets;

    ngx_uint_t                   mask;          /* number of buckets less 1 */
    ngx_http_atls_session_t     *buckets[1];
} ngx_http_atls_table_t;


typedef struct {
    ngx_http_atls_table_t       *table;
    ngx_slab_pool_t             *shpool;
} ngx_http_atls_zone_t;


static ngx_int_t ngx_http_atls_session_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_http_atls_session_t **ngx_http_atls_session_bucket(
    ngx_http_atls_table_t *table, u_char *id);
static ngx_http_atls_session_t *ngx_http_atls_session_find(
    ngx_http_atls_table_t *table, u_char *id);
static ngx_uint_t ngx_http_atls_session_orphan(
    ngx_http_atls_session_t *session);
static void ngx_http_atls_session_sweep(ngx_event_t *ev);
static ngx_uint_t ngx_http_atls_session_expire(ngx_http_atls_zone_t *z,
    ngx_uint_t n);
static ngx_uint_t ngx_http_atls_session_evict(ngx_http_atls_zone_t *z);
static void *ngx_http_atls_session_alloc(ngx_http_atls_zone_t *z);
static void ngx_http_atls_session_wipe_pieces(ngx_http_atls_pieces_t *pieces);
static void ngx_http_atls_session_free_pieces(ngx_http_atls_zone_t *z,
    ngx_http_atls_piece_t *piece);
static void ngx_http_atls_session_free(ngx_http_atls_zone_t *z,
    ngx_http_atls_session_t *session);
static void ngx_http_atls_session_orphans(ngx_http_atls_zone_t *z);
static void ngx_http_atls_session_free_orphans(ngx_http_atls_zone_t *z,
    ngx_queue_t *queue);
static void ngx_http_atls_session_own(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session);


static ngx_event_t       ngx_http_atls_sweeper;
static ngx_connection_t  ngx_http_atls_sweeper_conn;    /* for its log */


ngx_shm_zone_t *
ngx_http_atls_session_zone(ngx_conf_t *cf, ngx_str_t *name, size_t size)
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

    zone->init = ngx_http_atls_session_init_zone;
    zone->data = z;

    return zone;
}


static ngx_int_t
ngx_http_atls_session_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_atls_zone_t  *old = data;

    size_t                  len;
    ngx_uint_t              n;
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_table_t  *table;

    z = zone->data;

    if (old) {

        /*
         * The zone's tag is this module, so its memory is of the same code,
         * unless somebody has changed that behind nginx's back.
         */

        if (old->table->layout != NGX_HTTP_ATLS_LAYOUT
            || old->table->session_size != sizeof(ngx_http_atls_session_t))
        {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "atls_zone \"%V\" has another layout",
                          &zone->shm.name);
            return NGX_ERROR;
        }

        *z = *old;
        return NGX_OK;
    }

    z->shpool = (ngx_slab_pool_t *) zone->shm.addr;

    /* about one bucket for each session that the zone can hold */

    for (n = 64; n < zone->shm.size / sizeof(ngx_http_atls_session_t) / 2;
         n <<= 1)
    {
        /* void */
    }

    table = ngx_slab_calloc(z->shpool, sizeof(ngx_http_atls_table_t)
                                   + n * sizeof(ngx_http_atls_session_t *));
    if (table == NULL) {
        return NGX_ERROR;
    }

    table->layout = NGX_HTTP_ATLS_LAYOUT;
    table->session_size = sizeof(ngx_http_atls_session_t);
    table->mask = n - 1;

    ngx_queue_init(&table->handshakes);
    ngx_queue_init(&table->idle);
    ngx_queue_init(&table->residents);
    ngx_queue_init(&table->busy);

    table->tickets = ngx_http_atls_ticket_init_zone(z->shpool,
                                                    zone->shm.size);
    if (table->tickets == NULL) {
        return NGX_ERROR;
    }

    z->table = table;
    z->shpool->data = table;

    len = sizeof(" in atls_zone \"\"") + zone->shm.name.len;

    z->shpool->log_ctx = ngx_slab_alloc(z->shpool, len);
    if (z->shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(z->shpool->log_ctx, " in atls_zone \"%V\"%Z",
                &zone->shm.name);

    /* said here, at most once a second */
    z->shpool->log_nomem = 0;

    return NGX_OK;
}


ngx_http_atls_tickets_t *
ngx_http_atls_session_tickets(ngx_shm_zone_t *zone)
{
    ngx_http_atls_zone_t *z = zone->data;

    return z->table->tickets;
}


/* nginx takes over a zone of the same size only. */

void
ngx_http_atls_session_init_module(ngx_shm_zone_t *zone)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_shm_zone_t   *old;

    /* of the configuration that is being replaced, if any */

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    old = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return;
            }

            part = part->next;
            old = part->elts;
            i = 0;
        }

        if (old[i].tag == zone->tag
            && old[i].shm.name.len == zone->shm.name.len
            && ngx_strncmp(old[i].shm.name.data, zone->shm.name.data,
                           zone->shm.name.len)
               == 0)
        {
            if (old[i].shm.addr == zone->shm.addr) {
                return;
            }

            ngx_log_error(NGX_LOG_NOTICE, zone->shm.log, 0,
                          "atls_zone \"%V\" is resized, its sessions are lost",
                          &zone->shm.name);
            return;
        }
    }
}


void
ngx_http_atls_session_init_worker(ngx_shm_zone_t *zone, ngx_log_t *log)
{
    ngx_http_atls_zone_t  *z;

    z = zone->data;

    ngx_http_atls_session_orphans(z);

    ngx_http_atls_sweeper_conn.fd = (ngx_socket_t) -1;
    ngx_http_atls_sweeper_conn.data = z;

    ngx_http_atls_sweeper.handler = ngx_http_atls_session_sweep;
    ngx_http_atls_sweeper.data = &ngx_http_atls_sweeper_conn;
    ngx_http_atls_sweeper.log = log;
    ngx_http_atls_sweeper.cancelable = 1;

    ngx_add_timer(&ngx_http_atls_sweeper, NGX_HTTP_ATLS_SWEEP);
}


/* Keys are wiped also when nobody comes who needs their memory. */

static void
ngx_http_atls_session_sweep(ngx_event_t *ev)
{
    ngx_uint_t             i, n;
    ngx_connection_t      *c;
    ngx_http_atls_zone_t  *z;

    c = ev->data;
    z = c->data;

    n = 0;

    if (ngx_http_atls_worker_bury()) {
        ngx_http_atls_session_orphans(z);
    }

    /* in small portions: others want the lock too */

    for (i = 0; i < 64; i++) {

        ngx_shmtx_lock(&z->shpool->mutex);
        n = ngx_http_atls_session_expire(z, 32);
        ngx_shmtx_unlock(&z->shpool->mutex);

        if (n < 32) {
            break;
        }
    }

    atls_cipher_trim();

    /* there may be more of them */

    ngx_add_timer(ev, n < 32 ? NGX_HTTP_ATLS_SWEEP : 10);
}


static void
ngx_http_atls_session_orphans(ngx_http_atls_zone_t *z)
{
    ngx_shmtx_lock(&z->shpool->mutex);

    ngx_http_atls_session_free_orphans(z, &z->table->handshakes);
    ngx_http_atls_session_free_orphans(z, &z->table->residents);
    ngx_http_atls_session_free_orphans(z, &z->table->busy);

    ngx_shmtx_unlock(&z->shpool->mutex);
}


static void
ngx_http_atls_session_free_orphans(ngx_http_atls_zone_t *z,
    ngx_queue_t *queue)
{
    ngx_queue_t              *q, *next;
    ngx_http_atls_owner_t     owner;
    ngx_http_atls_session_t  *session;

    for (q = ngx_queue_head(queue); q != ngx_queue_sentinel(queue); q = next) {
        next = ngx_queue_next(q);

        session = ngx_queue_data(q, ngx_http_atls_session_t, queue);

        owner.id = session->owner;
        owner.slot = session->slot;

        if (!ngx_http_atls_worker_known(&owner)) {
            ngx_http_atls_session_free(z, session);
        }
    }
}


ngx_http_atls_session_t *
ngx_http_atls_session_create(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_loc_conf_t *alcf, ngx_log_t *log)
{
    u_char                    id[NGX_HTTP_ATLS_ID_LEN];
    ngx_time_t               *tp;
    ngx_uint_t                full;
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_session_t  *session, **bucket;

    z = amcf->zone->data;

    if (RAND_bytes(id, NGX_HTTP_ATLS_ID_LEN) != 1) {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "RAND_bytes() failed");
        return NULL;
    }

    full = 0;

    ngx_shmtx_lock(&z->shpool->mutex);

    ngx_http_atls_session_expire(z, 2);

    session = ngx_http_atls_session_alloc(z);

    if (session) {
        ngx_memzero(session, sizeof(ngx_http_atls_session_t));

        ngx_memcpy(session->id, id, NGX_HTTP_ATLS_ID_LEN);

        session->endpoint = alcf->endpoint;
        tp = ngx_timeofday();

        session->created = tp->sec;
        session->created_msec = (uint16_t) tp->msec;
        session->used = session->created;
        session->timeout = alcf->session_timeout;
        session->lifetime = alcf->session_lifetime;

        bucket = ngx_http_atls_session_bucket(z->table, id);

        session->next = *bucket;
        *bucket = session;

        ngx_queue_init(&session->queue);
        ngx_http_atls_session_own(z->table, session);

    } else if (z->table->full != ngx_time()) {
        z->table->full = ngx_time();
        full = 1;
    }

    ngx_shmtx_unlock(&z->shpool->mutex);

    if (full) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "atls_zone \"%V\" is full of sessions in use",
                      &amcf->zone->shm.name);
    }

    return session;
}


ngx_int_t
ngx_http_atls_session_take(ngx_shm_zone_t *zone, u_char *id, uint64_t endpoint,
    ngx_http_atls_session_t **sessionp, ngx_http_atls_owner_t *owner)
{
    ngx_int_t                 rc;
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_session_t  *session;

    z = zone->data;

    ngx_shmtx_lock(&z->shpool->mutex);

    session = ngx_http_atls_session_find(z->table, id);

    if (session == NULL || session->endpoint != endpoint) {
        rc = NGX_DECLINED;

    } else if (ngx_http_atls_session_orphan(session)) {
        ngx_http_atls_session_free(z, session);
        rc = NGX_DECLINED;

    } else if (session->busy) {
        rc = NGX_BUSY;

    } else if ((!session->established || session->inner)
               && session->owner != ngx_http_atls_worker.id)
    {
        owner->id = session->owner;
        owner->slot = session->slot;
        rc = NGX_ABORT;

    } else if (session->established && session->inner == NULL
               && ngx_http_atls_session_expired(session))
    {
        ngx_http_atls_session_free(z, session);
        rc = NGX_DECLINED;

    } else {
        ngx_http_atls_session_own(z->table, session);
        *sessionp = session;
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&z->shpool->mutex);

    return rc;
}


ngx_uint_t
ngx_http_atls_session_outlived(ngx_http_atls_session_t *session)
{
    return ngx_time() - session->created >= session->lifetime;
}


ngx_uint_t
ngx_http_atls_session_expired(ngx_http_atls_session_t *session)
{
    return ngx_time() - session->used >= session->timeout
           || ngx_http_atls_session_outlived(session);
}


ngx_int_t
ngx_http_atls_session_view(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_view_t *view)
{
    ngx_int_t                 rc;
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_session_t  *session;

    z = zone->data;
    rc = NGX_DECLINED;

    view->sni.data = view->data;
    view->psk.data = view->data + NGX_HTTP_ATLS_VIEW_LEN;
    view->psk.len = 0;

    ngx_shmtx_lock(&z->shpool->mutex);

    session = ngx_http_atls_session_find(z->table, id);

    if (session && session->established && !session->busy
        && session->sni_len <= NGX_HTTP_ATLS_VIEW_LEN
        && (!session->psk || session->identity.len <= NGX_HTTP_ATLS_VIEW_LEN))
    {
        rc = NGX_OK;

        view->policy = session->policy;
        view->expired = ngx_http_atls_session_expired(session);

        view->sni.len = session->sni_len;
        ngx_memcpy(view->sni.data, session->sni, session->sni_len);

        if (session->psk) {
            view->psk.len = session->identity.len;
            ngx_http_atls_session_kept(&session->identity, view->psk.data);
        }
    }

    ngx_shmtx_unlock(&z->shpool->mutex);

    return rc;
}


void
ngx_http_atls_session_end(ngx_shm_zone_t *zone, u_char *id)
{
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_session_t  *session;

    z = zone->data;

    ngx_shmtx_lock(&z->shpool->mutex);

    session = ngx_http_atls_session_find(z->table, id);

    if (session && !session->busy) {
        session->closing = 1;
    }

    ngx_shmtx_unlock(&z->shpool->mutex);
}


void
ngx_http_atls_session_put(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session)
{
    ngx_queue_t           *queue;
    ngx_http_atls_zone_t  *z;

    z = zone->data;

    ngx_shmtx_lock(&z->shpool->mutex);

    if (!session->established) {
        queue = &z->table->handshakes;

    } else if (session->inner) {
        queue = &z->table->residents;

    } else {
        queue = &z->table->idle;
    }

    ngx_queue_remove(&session->queue);
    ngx_queue_insert_head(queue, &session->queue);

    session->busy = 0;
    session->used = ngx_time();

    ngx_shmtx_unlock(&z->shpool->mutex);
}


ngx_int_t
ngx_http_atls_session_keep(ngx_shm_zone_t *zone,
    ngx_http_atls_pieces_t *pieces, u_char *data, size_t len)
{
    size_t                   n, left;
    ngx_http_atls_zone_t    *z;
    ngx_http_atls_piece_t   *piece, *first, *old, **next;

    if (len == 0 && pieces->first == NULL) {
        return NGX_OK;
    }

    z = zone->data;

    /* they are the caller's until they are given back */

    ngx_http_atls_session_wipe_pieces(pieces);

    old = pieces->first;
    pieces->first = NULL;
    pieces->len = 0;

    first = NULL;
    next = &first;

    ngx_shmtx_lock(&z->shpool->mutex);

    ngx_http_atls_session_free_pieces(z, old);

    for (left = len; left; left -= n) {
        n = ngx_min(left, sizeof(piece->data));

        piece = ngx_http_atls_session_alloc(z);
        if (piece == NULL) {
            ngx_http_atls_session_free_pieces(z, first);
            break;
        }

        piece->next = NULL;
        *next = piece;
        next = &piece->next;
    }

    ngx_shmtx_unlock(&z->shpool->mutex);

    if (left) {
        return NGX_ERROR;
    }

    pieces->first = first;
    pieces->len = len;

    for (piece = first; piece; piece = piece->next) {
        n = ngx_min(len, sizeof(piece->data));
        ngx_memcpy(piece->data, data, n);
        data += n;
        len -= n;
    }

    return NGX_OK;
}


void
ngx_http_atls_session_kept(ngx_http_atls_pieces_t *pieces, u_char *dst)
{
    size_t                  n, left;
    ngx_http_atls_piece_t  *piece;

    left = pieces->len;

    for (piece = pieces->first; piece; piece = piece->next) {
        n = ngx_min(left, sizeof(piece->data));
        dst = ngx_cpymem(dst, piece->data, n);
        left -= n;
    }
}


ngx_int_t
ngx_http_atls_session_name(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_str_t *sni)
{
    ngx_http_atls_zone_t  *z;

    z = zone->data;

    session->sni = session->sni_data;

    if (sni->len > NGX_HTTP_ATLS_SNI_LEN) {
        ngx_shmtx_lock(&z->shpool->mutex);
        session->sni = ngx_http_atls_session_alloc(z);
        ngx_shmtx_unlock(&z->shpool->mutex);

        if (session->sni == NULL) {
            return NGX_ERROR;
        }
    }

    if (sni->len) {
        ngx_memcpy(session->sni, sni->data, sni->len);
    }

    session->sni_len = (uint16_t) sni->len;

    return NGX_OK;
}


void
ngx_http_atls_session_abandon(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_inner_t *inner)
{
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_session_t  *session;

    z = zone->data;

    ngx_shmtx_lock(&z->shpool->mutex);

    session = ngx_http_atls_session_find(z->table, id);

    if (session && session->owner == ngx_http_atls_worker.id
        && session->inner == inner)
    {
        session->inner = NULL;
        session->closing = 1;

        /* busy: with a POST that has not come as far as to resume it */

        if (!session->busy && session->established) {
            ngx_queue_remove(&session->queue);
            ngx_queue_insert_head(&z->table->idle, &session->queue);
        }
    }

    ngx_shmtx_unlock(&z->shpool->mutex);
}


void
ngx_http_atls_session_remove(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session)
{
    ngx_http_atls_zone_t  *z;

    z = zone->data;

    ngx_shmtx_lock(&z->shpool->mutex);
    ngx_http_atls_session_free(z, session);
    ngx_shmtx_unlock(&z->shpool->mutex);
}


ngx_http_atls_inner_t *
ngx_http_atls_session_forget(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_handshake_t *handshake)
{
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_inner_t    *inner;
    ngx_http_atls_session_t  *session;

    z = zone->data;
    inner = NULL;

    ngx_shmtx_lock(&z->shpool->mutex);

    session = ngx_http_atls_session_find(z->table, id);

    if (session && !session->busy && !session->established
        && session->owner == ngx_http_atls_worker.id
        && session->handshake == handshake)
    {
        inner = session->inner;
        ngx_http_atls_session_free(z, session);
    }

    ngx_shmtx_unlock(&z->shpool->mutex);

    return inner;
}


void
ngx_http_atls_session_cookie(u_char *id, ngx_str_t *value)
{
    ngx_str_t  src;

    src.data = id;
    src.len = NGX_HTTP_ATLS_ID_LEN;

    ngx_encode_base64url(value, &src);
}


ngx_int_t
ngx_http_atls_session_id(ngx_str_t *value, u_char *id)
{
    u_char     buf[NGX_HTTP_ATLS_COOKIE_LEN + 3];
    ngx_str_t  dst;

    if (value->len != NGX_HTTP_ATLS_COOKIE_LEN) {
        return NGX_DECLINED;
    }

    dst.data = buf;

    if (ngx_decode_base64url(&dst, value) != NGX_OK
        || dst.len != NGX_HTTP_ATLS_ID_LEN)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(id, buf, NGX_HTTP_ATLS_ID_LEN);

    return NGX_OK;
}


/* the functions below are called with the lock held */


/* An id is random as it is: any part of it is as good as a hash of it. */

static ngx_http_atls_session_t **
ngx_http_atls_session_bucket(ngx_http_atls_table_t *table, u_char *id)
{
    uint32_t  n;

    ngx_memcpy(&n, id, sizeof(uint32_t));

    return &table->buckets[n & table->mask];
}


static ngx_http_atls_session_t *
ngx_http_atls_session_find(ngx_http_atls_table_t *table, u_char *id)
{
    ngx_http_atls_session_t  *session;

    for (session = *ngx_http_atls_session_bucket(table, id);
         session;
         session = session->next)
    {
        if (CRYPTO_memcmp(session->id, id, NGX_HTTP_ATLS_ID_LEN) == 0) {
            return session;
        }
    }

    return NULL;
}


/*
 * Does a session belong to a process that is no more?  Who has just died is
 * not swept yet.
 */

static ngx_uint_t
ngx_http_atls_session_orphan(ngx_http_atls_session_t *session)
{
    ngx_http_atls_owner_t  owner;

    if (session->established && !session->busy && session->inner == NULL) {
        return 0;
    }

    owner.id = session->owner;
    owner.slot = session->slot;

    return !ngx_http_atls_worker_alive(&owner);
}


/*
 * Frees up to n of the longest idle sessions, if expired, and returns their
 * number.  Half-open ones end by their owner's timer.
 */

static ngx_uint_t
ngx_http_atls_session_expire(ngx_http_atls_zone_t *z, ngx_uint_t n)
{
    ngx_uint_t                i;
    ngx_queue_t              *q;
    ngx_http_atls_session_t  *session;

    for (i = 0; i < n && !ngx_queue_empty(&z->table->idle); i++) {
        q = ngx_queue_last(&z->table->idle);

        session = ngx_queue_data(q, ngx_http_atls_session_t, queue);

        if (!ngx_http_atls_session_expired(session)) {
            break;
        }

        ngx_http_atls_session_free(z, session);
    }

    return i;
}


/*
 * A flood of ClientHellos must not push out established sessions: half-open
 * ones go first, then the longest idle, then those in the middle of a request;
 * busy ones never.
 */

static ngx_uint_t
ngx_http_atls_session_evict(ngx_http_atls_zone_t *z)
{
    ngx_queue_t              *queue;
    ngx_http_atls_session_t  *session;

    if (!ngx_queue_empty(&z->table->handshakes)) {
        queue = &z->table->handshakes;

    } else if (!ngx_queue_empty(&z->table->idle)) {
        queue = &z->table->idle;

    } else if (!ngx_queue_empty(&z->table->residents)) {
        queue = &z->table->residents;

    } else {
        queue = &z->table->busy;

        if (ngx_queue_empty(queue)) {
            return 0;
        }
    }

    session = ngx_queue_data(ngx_queue_last(queue), ngx_http_atls_session_t,
                             queue);

    if (session->busy && !ngx_http_atls_session_orphan(session)) {
        return 0;
    }

    ngx_http_atls_session_free(z, session);

    return 1;
}


/* All pieces are of one size: see ngx_http_atls_piece_t. */

static void *
ngx_http_atls_session_alloc(ngx_http_atls_zone_t *z)
{
    void  *p;

    p = ngx_slab_alloc_locked(z->shpool, sizeof(ngx_http_atls_session_t));

    if (p || !ngx_http_atls_session_evict(z)) {
        return p;
    }

    return ngx_slab_alloc_locked(z->shpool, sizeof(ngx_http_atls_session_t));
}


static void
ngx_http_atls_session_wipe_pieces(ngx_http_atls_pieces_t *pieces)
{
    ngx_http_atls_piece_t  *piece;

    for (piece = pieces->first; piece; piece = piece->next) {
        ngx_explicit_memzero(piece->data, sizeof(piece->data));
    }
}


static void
ngx_http_atls_session_free_pieces(ngx_http_atls_zone_t *z,
    ngx_http_atls_piece_t *piece)
{
    ngx_http_atls_piece_t  *next;

    for ( /* void */ ; piece; piece = next) {
        next = piece->next;
        ngx_slab_free_locked(z->shpool, piece);
    }
}


static void
ngx_http_atls_session_free(ngx_http_atls_zone_t *z,
    ngx_http_atls_session_t *session)
{
    ngx_http_atls_session_t  **p;

    for (p = ngx_http_atls_session_bucket(z->table, session->id);
         *p != session;
         p = &(*p)->next)
    {
        /* void */
    }

    *p = session->next;

    ngx_queue_remove(&session->queue);

    ngx_http_atls_session_wipe_pieces(&session->pending);
    ngx_http_atls_session_free_pieces(z, session->pending.first);

    ngx_http_atls_session_wipe_pieces(&session->identity);
    ngx_http_atls_session_free_pieces(z, session->identity.first);

    if (session->sni_len > NGX_HTTP_ATLS_SNI_LEN) {
        ngx_slab_free_locked(z->shpool, session->sni);
    }

    ngx_explicit_memzero(session, sizeof(ngx_http_atls_session_t));
    ngx_slab_free_locked(z->shpool, session);
}


static void
ngx_http_atls_session_own(ngx_http_atls_table_t *table,
    ngx_http_atls_session_t *session)
{
    ngx_queue_remove(&session->queue);
    ngx_queue_insert_head(&table->busy, &session->queue);

    session->busy = 1;
    session->owner = ngx_http_atls_worker.id;
    session->slot = (uint16_t) ngx_http_atls_worker.slot;
}
