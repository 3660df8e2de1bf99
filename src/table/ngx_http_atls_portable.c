
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_session_owner.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_table.h"
#include "ngx_http_atls_table_room.h"
#include "ngx_http_atls_portable.h"


/* The version of the structure below, together with TRL_STATE_VERSION. */

#define NGX_HTTP_ATLS_PORTABLE  ((2 << 16) | TRL_STATE_VERSION)


/* Followed by the server name, the partial record, identity and response. */

typedef struct {
    uint64_t                   version;
    uint64_t                   endpoint;       /* its id on all machines */
    uint64_t                   policy;

    int64_t                    age;            /* milliseconds */
    int64_t                    idle;

    int32_t                    timeout;
    int32_t                    cookie;
    int32_t                    lifetime;
    int32_t                    whole;

    uint32_t                   requests;
    uint32_t                   kind;           /* of the identity */
    uint32_t                   sni_len;
    uint32_t                   pending_len;
    uint32_t                   identity_len;
    uint32_t                   kept_len;

    uint16_t                   verify_error;
    uint8_t                    end;
    uint8_t                    reason;
    uint8_t                    reused;
    uint8_t                    psk;
    uint8_t                    alpn;
    uint8_t                    other;
    uint8_t                    kept;           /* there is a fingerprint */
    uint8_t                    kept_whole;
    uint8_t                    kept_created;

    uint64_t                   bytes_in;
    uint64_t                   bytes_out;

    ngx_http_atls_print_t      print;          /* of the last POST */
    trl_window_t               window;         /* numbers of messages */
    trl_state_t                state;
} ngx_http_atls_portable_t;


static void ngx_http_atls_portable_fill(ngx_http_atls_session_t *session,
    ngx_http_atls_portable_t *head);
static ngx_int_t ngx_http_atls_portable_kept(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_portable_t *head,
    ngx_pool_t *pool, u_char **data);
static ngx_uint_t ngx_http_atls_portable_valid(ngx_http_atls_portable_t *head,
    size_t len);
static ngx_uint_t ngx_http_atls_portable_return(ngx_shm_zone_t *zone,
    u_char *id, ngx_http_atls_portable_t *head);
static ngx_http_atls_session_t *ngx_http_atls_portable_create(
    ngx_shm_zone_t *zone, u_char *id, ngx_http_atls_portable_t *head,
    int64_t passed, ngx_http_atls_endpoint_t *endpoint);
static void ngx_http_atls_portable_restore(ngx_http_atls_session_t *session,
    ngx_http_atls_portable_t *head);
static ngx_int_t ngx_http_atls_portable_pieces(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_portable_t *head,
    u_char *data);
static ngx_http_atls_session_t *ngx_http_atls_portable_last(
    ngx_http_atls_shard_t *shard);


ngx_int_t
ngx_http_atls_portable_write(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_pool_t *pool, ngx_str_t *data)
{
    u_char                    *p, *kept;
    ngx_str_t                  sni;
    ngx_http_atls_portable_t   head;

    ngx_http_atls_portable_fill(session, &head);

    if (ngx_http_atls_portable_kept(zone, session, &head, pool, &kept)
        != NGX_OK)
    {
        goto failed;
    }

    data->len = sizeof(ngx_http_atls_portable_t) + head.sni_len
                + head.pending_len + head.identity_len + head.kept_len;
    data->data = ngx_pnalloc(pool, data->len);

    if (data->data == NULL) {
        goto failed;
    }

    sni = ngx_http_atls_session_sni(session);

    p = ngx_cpymem(data->data, &head, sizeof(ngx_http_atls_portable_t));
    p = ngx_cpymem(p, sni.data, sni.len);

    ngx_http_atls_session_load(&session->pending, p);
    p += head.pending_len;

    ngx_http_atls_session_load(&session->identity, p);
    p += head.identity_len;

    ngx_memcpy(p, kept, head.kept_len);

    ngx_explicit_memzero(&head, sizeof(ngx_http_atls_portable_t));

    return NGX_OK;

failed:

    ngx_explicit_memzero(&head, sizeof(ngx_http_atls_portable_t));

    return NGX_ERROR;
}


static void
ngx_http_atls_portable_fill(ngx_http_atls_session_t *session,
    ngx_http_atls_portable_t *head)
{
    ngx_http_atls_endpoint_t  *endpoint;

    /* padding is sealed, too */

    ngx_memzero(head, sizeof(ngx_http_atls_portable_t));

    endpoint = ngx_http_atls_endpoint_get(ngx_cycle, session->endpoint);

    head->version = NGX_HTTP_ATLS_PORTABLE;
    head->endpoint = endpoint ? endpoint->portable : 0;
    head->policy = session->policy;

    head->age = ngx_http_atls_clock() - session->created;
    head->idle = ngx_http_atls_clock() - session->used;

    head->timeout = session->timeout;
    head->cookie = session->cookie;
    head->lifetime = session->lifetime;
    head->whole = session->whole;

    head->requests = session->requests;
    head->kind = session->identity.kind;
    head->sni_len = session->sni_len;
    head->pending_len = session->pending.len;
    head->identity_len = session->identity.len;

    head->verify_error = session->verify_error;
    head->end = session->end;
    head->reason = session->reason;
    head->reused = session->reused;
    head->psk = session->psk;
    head->alpn = session->alpn;
    head->other = session->other;

    head->bytes_in = session->bytes_in;
    head->bytes_out = session->bytes_out;

    head->state = session->state;
}


/*
 * A kept response may be freed at any time: it is copied under the lock.  From
 * then on, no number may be marked here: it might be marked elsewhere as well.
 */

static ngx_int_t
ngx_http_atls_portable_kept(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_portable_t *head,
    ngx_pool_t *pool, u_char **data)
{
    size_t                  room, skip;
    u_char                 *buf;
    ngx_http_atls_kept_t   *kept;
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;

    z = zone->data;
    skip = sizeof(ngx_http_atls_kept_t);

    room = ngx_max(session->kept.len, skip);
    buf = ngx_pnalloc(pool, room);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    shard = ngx_http_atls_table_lock(z, session->id);

    if (session->kept.first && session->kept.len <= room) {
        kept = ngx_http_atls_table_kept(session);

        head->kept = 1;
        head->kept_whole = kept->whole;
        head->kept_created = kept->created;
        head->print = kept->print;

        if (kept->whole) {
            ngx_http_atls_session_load(&session->kept, buf);
            head->kept_len = session->kept.len - skip;
        }
    }

    head->window = session->u.window;
    session->leaving = 1;

    ngx_http_atls_table_unlock(z, shard);

    *data = buf + skip;

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_portable_remove(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_ending_e reason,
    ngx_log_t *log)
{
    ngx_uint_t              returned;
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;

    z = zone->data;

    shard = ngx_http_atls_table_lock(z, session->id);

    returned = session->returned;

    if (returned) {
        session->returned = 0;
        session->leaving = 0;

        ngx_http_atls_table_move(shard, session,
                                 ngx_http_atls_session_kind(session));

    } else {
        ngx_http_atls_table_remove(shard, session, reason);
        z->log = log;
    }

    ngx_http_atls_table_unlock(z, shard);

    return returned ? NGX_DECLINED : NGX_OK;
}


ngx_int_t
ngx_http_atls_portable_times(ngx_http_atls_session_t *session, int64_t *idle,
    int64_t *lifetime)
{
    int64_t  now;

    now = ngx_http_atls_clock();

    *lifetime = (int64_t) session->lifetime * 1000 - (now - session->created);
    *idle = (int64_t) session->timeout * 1000 - (now - session->used);
    *idle = ngx_min(*idle, *lifetime);

    return *idle > 0 ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_atls_portable_read(ngx_shm_zone_t *zone, u_char *id, ngx_str_t *data,
    int64_t passed, ngx_log_t *log)
{
    ngx_http_atls_portable_t   head;
    ngx_http_atls_session_t   *session;
    ngx_http_atls_endpoint_t  *endpoint;

    if (data->len < sizeof(ngx_http_atls_portable_t)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(&head, data->data, sizeof(ngx_http_atls_portable_t));

    session = NULL;
    endpoint = NULL;

    if (ngx_http_atls_portable_valid(&head, data->len)) {
        endpoint = ngx_http_atls_endpoint_portable(head.endpoint);
    }

    if (endpoint) {

        if (ngx_http_atls_portable_return(zone, id, &head)) {
            ngx_explicit_memzero(&head, sizeof(ngx_http_atls_portable_t));
            return NGX_OK;
        }

        session = ngx_http_atls_portable_create(zone, id, &head, passed,
                                                endpoint);
    }

    if (session == NULL) {
        ngx_explicit_memzero(&head, sizeof(ngx_http_atls_portable_t));

        if (endpoint == NULL) {
            return NGX_DECLINED;
        }

        ngx_http_atls_session_full(zone, "has no room for a session", log);
        return NGX_BUSY;
    }

    if (ngx_http_atls_portable_pieces(zone, session, &head,
                                      data->data + sizeof(head))
        != NGX_OK)
    {
        ngx_http_atls_session_full(zone, "has no room for a session", log);
        ngx_http_atls_session_remove(zone, session, ngx_http_atls_ending_full,
                                     log);

        ngx_explicit_memzero(&head, sizeof(ngx_http_atls_portable_t));
        return NGX_BUSY;
    }

    ngx_explicit_memzero(&head, sizeof(ngx_http_atls_portable_t));

    return NGX_OK;
}


/* The data are authentic, so this only guards against mistakes. */

static ngx_uint_t
ngx_http_atls_portable_valid(ngx_http_atls_portable_t *head, size_t len)
{
    return head->version == NGX_HTTP_ATLS_PORTABLE
           && len == sizeof(ngx_http_atls_portable_t)
                     + (uint64_t) head->sni_len + head->pending_len
                     + head->identity_len + head->kept_len
           && head->sni_len <= NGX_HTTP_ATLS_PIECE
           && head->pending_len <= TRL_MAX_RECORD
           && (head->kind == ngx_http_atls_identity
               || head->kind == ngx_http_atls_stranger);
}


/*
 * Another process has written this state, and does not know yet that it was
 * stored.  As it was taken from there, nobody else has it.
 */

static ngx_uint_t
ngx_http_atls_portable_return(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_portable_t *head)
{
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    shard = ngx_http_atls_table_lock(zone->data, id);

    session = ngx_http_atls_table_find(shard, id);

    if (session
        && (!session->leaving
            || CRYPTO_memcmp(&session->state, &head->state, sizeof(trl_state_t))
               != 0))
    {
        session = NULL;
    }

    if (session) {
        session->returned = 1;
    }

    ngx_http_atls_table_unlock(zone->data, shard);

    return session != NULL;
}


static ngx_http_atls_session_t *
ngx_http_atls_portable_create(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_portable_t *head, int64_t passed,
    ngx_http_atls_endpoint_t *endpoint)
{
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    z = zone->data;

    shard = ngx_http_atls_table_lock(z, id);

    session = ngx_http_atls_table_alloc(z, shard, id, ngx_http_atls_busy);

    if (session) {
        session->endpoint = endpoint->id;
        session->created = ngx_http_atls_clock() - head->age - passed;
        session->used = ngx_http_atls_clock() - head->idle - passed;

        session->owner = ngx_http_atls_process.owner.id;
        session->slot = (uint16_t) ngx_http_atls_process.owner.slot;

        ngx_http_atls_portable_restore(session, head);

        ngx_http_atls_table_add(shard, session, ngx_http_atls_busy);
    }

    ngx_http_atls_table_unlock(z, shard);

    return session;
}


static void
ngx_http_atls_portable_restore(ngx_http_atls_session_t *session,
    ngx_http_atls_portable_t *head)
{
    session->policy = head->policy;

    session->timeout = head->timeout;
    session->cookie = head->cookie;
    session->lifetime = head->lifetime;
    session->whole = head->whole;

    session->requests = head->requests;
    session->verify_error = head->verify_error;

    session->established = 1;
    session->end = head->end;
    session->reason = head->reason;
    session->reused = head->reused;
    session->psk = head->psk;
    session->alpn = head->alpn;
    session->other = head->other;

    session->pending.kind = ngx_http_atls_record;
    session->identity.kind = head->kind;
    session->kept.kind = ngx_http_atls_kept;

    session->bytes_in = head->bytes_in;
    session->bytes_out = head->bytes_out;

    session->u.window = head->window;
    session->state = head->state;
}


/* Then the session is put into the table, as after a POST. */

static ngx_int_t
ngx_http_atls_portable_pieces(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_portable_t *head,
    u_char *data)
{
    ngx_str_t                  sni;
    ngx_http_atls_response_t   response;

    sni.data = data;
    sni.len = head->sni_len;
    data += head->sni_len;

    if (ngx_http_atls_session_name(zone, session, &sni) != NGX_OK
        || ngx_http_atls_session_store(zone, session, &session->pending, data,
                                       head->pending_len)
           != NGX_OK
        || ngx_http_atls_session_store(zone, session, &session->identity,
                                       data + head->pending_len,
                                       head->identity_len)
           != NGX_OK)
    {
        return NGX_BUSY;
    }

    ngx_memzero(&response, sizeof(ngx_http_atls_response_t));

    response.keep = head->kept;
    response.print = &head->print;
    response.whole = head->kept_whole;
    response.created = head->kept_created;
    response.len = head->kept_len;
    response.prefix.data = data + head->pending_len + head->identity_len;
    response.prefix.len = head->kept_len;

    ngx_http_atls_session_put(zone, session, &response);

    return NGX_OK;
}


ngx_http_atls_session_t *
ngx_http_atls_portable_take(ngx_shm_zone_t *zone)
{
    ngx_uint_t                n, mask;
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    z = zone->data;
    session = NULL;

    z->turn++;
    mask = z->table->nshards - 1;

    for (n = 0; n <= mask && session == NULL; n++) {
        shard = ngx_http_atls_table_lock_shard(z, (z->turn + n) & mask);
        session = ngx_http_atls_portable_last(shard);

        if (session) {
            ngx_http_atls_session_set_owner(shard, session,
                                            ngx_http_atls_busy);
        }

        ngx_http_atls_table_unlock(z, shard);
    }

    return session;
}


/*
 * Sessions with DTLS end with their machine: POSTs may use them at any time,
 * and another machine would use the same numbers.
 */

static ngx_http_atls_session_t *
ngx_http_atls_portable_last(ngx_http_atls_shard_t *shard)
{
    ngx_uint_t                kind;
    ngx_http_atls_session_t  *session;

    kind = ngx_http_atls_idle;

    while (kind <= ngx_http_atls_idle_record) {
        session = ngx_http_atls_table_last(shard, kind);

        if (session == NULL) {
            kind++;
            continue;
        }

        if (!ngx_http_atls_session_shared(session)) {
            return session;
        }

        ngx_http_atls_table_remove(shard, session,
                                   ngx_http_atls_ending_shutdown);
    }

    return NULL;
}


ngx_http_atls_session_t *
ngx_http_atls_portable_take_id(ngx_shm_zone_t *zone, u_char *id)
{
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    shard = ngx_http_atls_table_lock(zone->data, id);

    session = ngx_http_atls_table_find(shard, id);

    if (session) {

        if (session->kind < ngx_http_atls_idle
            || session->kind > ngx_http_atls_idle_record
            || ngx_http_atls_session_shared(session))
        {
            session = NULL;

        } else {
            ngx_http_atls_session_set_owner(shard, session,
                                            ngx_http_atls_busy);
        }
    }

    ngx_http_atls_table_unlock(zone->data, shard);

    return session;
}


void
ngx_http_atls_portable_count(ngx_shm_zone_t *zone, ngx_uint_t *idle,
    ngx_uint_t *own, ngx_uint_t *busy)
{
    ngx_uint_t                n, kind;
    ngx_queue_t              *q, *queue;
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    z = zone->data;
    *idle = 0;
    *own = 0;
    *busy = 0;

    for (n = 0; n < z->table->nshards; n++) {
        shard = ngx_http_atls_table_lock_shard(z, n);

        for (kind = ngx_http_atls_idle;
             kind <= ngx_http_atls_idle_record;
             kind++)
        {
            *idle += shard->count[kind];
        }

        *busy += shard->count[ngx_http_atls_busy];

        queue = &shard->queues[ngx_http_atls_busy];

        for (q = ngx_queue_head(queue); q != queue; q = ngx_queue_next(q)) {
            session = ngx_queue_data(q, ngx_http_atls_session_t, queue);

            *own += (session->owner == ngx_http_atls_process.owner.id);
        }

        ngx_http_atls_table_unlock(z, shard);
    }
}


ngx_int_t
ngx_http_atls_portable_owner(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_owner_t *owner)
{
    ngx_int_t                 rc;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    rc = NGX_DECLINED;

    *owner = ngx_http_atls_process.owner;

    shard = ngx_http_atls_table_lock(zone->data, id);

    session = ngx_http_atls_table_find(shard, id);

    if (session) {
        rc = NGX_OK;

        if (session->inner || !session->established) {
            owner->id = session->owner;
            owner->slot = session->slot;
        }
    }

    ngx_http_atls_table_unlock(zone->data, shard);

    return rc;
}
