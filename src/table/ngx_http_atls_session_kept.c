
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_session_owner.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_session_view.h"
#include "ngx_http_atls_lifetime.h"
#include "ngx_http_atls_table.h"
#include "ngx_http_atls_table_room.h"


typedef struct {
    ngx_http_atls_piece_t  *piece;
    u_char                 *pos;
} ngx_http_atls_copy_t;


static ngx_int_t ngx_http_atls_session_recall(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_print_t *print,
    ngx_http_atls_repetition_t *repetition);
static ngx_uint_t ngx_http_atls_session_kept_pieces(size_t size);
static void ngx_http_atls_session_copy(ngx_http_atls_copy_t *copy,
    u_char *data, size_t len);


void
ngx_http_atls_session_hold(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_response_t *response)
{
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;

    z = zone->data;

    shard = ngx_http_atls_table_lock(z, session->id);
    ngx_http_atls_session_keep(z, shard, session, response);
    ngx_http_atls_table_unlock(z, shard);
}


ngx_uint_t
ngx_http_atls_session_repeats(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_print_t *print,
    ngx_uint_t whole)
{
    ngx_uint_t              rc;
    ngx_http_atls_zone_t   *z;
    ngx_http_atls_shard_t  *shard;
    ngx_http_atls_print_t  *kept;

    z = zone->data;
    rc = 0;

    shard = ngx_http_atls_table_lock(z, session->id);

    if (session->kept.first) {
        kept = &ngx_http_atls_table_kept(session)->print;

        rc = whole ? CRYPTO_memcmp(kept, print, sizeof(ngx_http_atls_print_t))
                     == 0
                   : ngx_memcmp(kept->first, print->first,
                                NGX_HTTP_ATLS_PRINT_LEN)
                     == 0;
    }

    ngx_http_atls_table_unlock(z, shard);

    return rc;
}


ngx_int_t
ngx_http_atls_session_retry(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_print_t *print,
    ngx_pool_t *pool, ngx_http_atls_repetition_t *repetition)
{
    u_char                   *p;
    size_t                    size, room;
    ngx_int_t                 rc;
    ngx_http_atls_zone_t     *z;
    ngx_http_atls_shard_t    *shard;
    ngx_http_atls_session_t  *session;

    z = zone->data;
    p = NULL;
    room = 0;

    /* the response is copied with the lock held, and memory is not allocated */

    for ( ;; ) {
        size = 0;

        shard = ngx_http_atls_table_lock(z, id);

        session = ngx_http_atls_table_find(shard, id);

        rc = ngx_http_atls_session_recall(session, alcf, print, repetition);

        if (rc == NGX_OK) {
            size = session->kept.len;

            if (size <= room) {
                ngx_http_atls_session_load(&session->kept, p);
            }
        }

        ngx_http_atls_table_unlock(z, shard);

        if (rc != NGX_OK) {
            return rc;
        }

        if (size <= room) {
            repetition->data.data = p + sizeof(ngx_http_atls_kept_t);
            repetition->data.len = size - sizeof(ngx_http_atls_kept_t);

            return NGX_OK;
        }

        p = ngx_pnalloc(pool, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        room = size;
    }
}


/*
 * Whether the POST is the last one of the session, and what is required for the
 * same response.  The session is the one that a new POST could use.
 */

static ngx_int_t
ngx_http_atls_session_recall(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_print_t *print,
    ngx_http_atls_repetition_t *repetition)
{
    ngx_http_atls_kept_t      *kept;
    ngx_http_atls_loc_conf_t  *home;

    home = session ? ngx_http_atls_endpoint_home(alcf, session->endpoint)
                   : NULL;

    if (home == NULL || ngx_http_atls_session_owner_dead(session)) {
        return NGX_DONE;
    }

    if (ngx_http_atls_session_is_busy(session)) {
        return NGX_BUSY;
    }

    repetition->check = (session->established && session->inner == NULL);

    if (repetition->check && ngx_http_atls_lifetime_expired(session, home)) {
        return NGX_DONE;
    }

    if (session->kept.first == NULL) {
        return NGX_DECLINED;
    }

    kept = ngx_http_atls_table_kept(session);

    if (CRYPTO_memcmp(&kept->print, print, sizeof(ngx_http_atls_print_t))) {
        return NGX_DECLINED;
    }

    if (kept->awaited) {
        return NGX_BUSY;
    }

    if (repetition->check
        && ngx_http_atls_session_copy_view(session, home, &repetition->view)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    repetition->created = kept->created;
    repetition->age = ngx_http_atls_lifetime_rest(session, home);

    return kept->whole ? NGX_OK : NGX_ABORT;
}


/*
 * The pieces are used again if their number is the same.  They may be freed at
 * any time, so they are only used with the lock held.
 */

void
ngx_http_atls_session_keep(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, ngx_http_atls_session_t *session,
    ngx_http_atls_response_t *response)
{
    size_t                 size;
    ngx_uint_t             whole;
    ngx_chain_t           *cl;
    ngx_queue_t           *queue;
    ngx_http_atls_kept_t  *kept;
    ngx_http_atls_copy_t   copy;

    whole = response->whole;
    size = sizeof(ngx_http_atls_kept_t) + response->len;

    if (!response->keep
        || ngx_http_atls_session_kept_pieces(session->kept.len)
           != ngx_http_atls_session_kept_pieces(size))
    {
        ngx_http_atls_table_forget(shard, session);
    }

    if (!response->keep) {
        return;
    }

    if (session->kept.first) {
        kept = ngx_http_atls_table_kept(session);
        ngx_queue_remove(&kept->queue);

    } else {
        session->kept.first = ngx_http_atls_table_pieces(z, shard,
                                                         ngx_http_atls_kept,
                                                         size);

        if (session->kept.first == NULL && whole) {
            whole = 0;
            size = sizeof(ngx_http_atls_kept_t);

            session->kept.first = ngx_http_atls_table_pieces(z, shard,
                                                            ngx_http_atls_kept,
                                                            size);
        }

        if (session->kept.first == NULL) {
            return;
        }

        kept = ngx_http_atls_table_kept(session);
    }

    session->kept.len = size;
    queue = &shard->queues[ngx_http_atls_kept];

    /* anybody can start handshakes, so their responses are freed first */

    if (session->established) {
        ngx_queue_insert_head(queue, &kept->queue);

    } else {
        ngx_queue_insert_tail(queue, &kept->queue);
    }

    kept->session = session;
    kept->print = *response->print;
    kept->created = response->created;
    kept->awaited = response->awaited;
    kept->whole = whole;

    copy.piece = session->kept.first;
    copy.pos = copy.piece->data + sizeof(ngx_http_atls_kept_t);

    if (!whole) {
        return;
    }

    ngx_http_atls_session_copy(&copy, response->prefix.data,
                               response->prefix.len);

    for (cl = response->out; cl; cl = cl->next) {
        ngx_http_atls_session_copy(&copy, cl->buf->pos,
                                   cl->buf->last - cl->buf->pos);
    }
}


static ngx_uint_t
ngx_http_atls_session_kept_pieces(size_t size)
{
    return (size + NGX_HTTP_ATLS_PIECE - 1) / NGX_HTTP_ATLS_PIECE;
}


static void
ngx_http_atls_session_copy(ngx_http_atls_copy_t *copy, u_char *data,
    size_t len)
{
    size_t  n, room;

    while (len) {
        room = copy->piece->data + NGX_HTTP_ATLS_PIECE - copy->pos;

        if (room == 0) {
            copy->piece = copy->piece->next;
            copy->pos = copy->piece->data;
            continue;
        }

        n = ngx_min(len, room);

        copy->pos = ngx_cpymem(copy->pos, data, n);
        data += n;
        len -= n;
    }
}
