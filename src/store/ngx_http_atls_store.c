
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_portable.h"
#include "ngx_http_atls_redis.h"
#include "ngx_http_atls_seal.h"
#include "ngx_http_atls_store.h"
#include "ngx_http_atls_store_conf.h"


/*
 * A value is "O" and the number of the machine that has taken the session, or
 * "S", the incarnation of the store, the rest of the lifetime and of the idle
 * timeout in milliseconds, and the sealed session.
 *
 * The incarnation is read in the script that uses it: both numbers change when
 * a server starts, and the second one when a replica becomes the master.  A
 * session that was put into another incarnation may have been taken from that.
 */

#define NGX_HTTP_ATLS_STORE_INCARNATION                                       \
    "local i = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')\n"  \
    "i = i .. string.match(redis.call('INFO', 'replication'),\n"              \
    "                      'master_replid:(%w+)')\n"

#define NGX_HTTP_ATLS_STORE_TIMES    24        /* two decimal numbers */
#define NGX_HTTP_ATLS_STORE_LONGEST  999999999999


typedef struct {
    ngx_http_atls_main_conf_t   *conf;
    ngx_http_atls_session_t     *session;      /* put */
    ngx_str_t                    sealed;
    ngx_http_atls_taking_t      *taking;       /* NULL: nobody waits */
    ngx_http_atls_putting_t     *putting;      /* the same */
    u_char                       id[NGX_HTTP_ATLS_ID_LEN];
    u_char                       times[NGX_HTTP_ATLS_STORE_TIMES + 1];
    u_char                       ttl[NGX_INT64_LEN];
} ngx_http_atls_stored_t;


static ngx_http_atls_op_t *ngx_http_atls_store_op(
    ngx_http_atls_main_conf_t *amcf, u_char *id, const char *script,
    ngx_http_atls_op_pt handler);
static void ngx_http_atls_store_answered(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply);
static ngx_http_atls_taken_e ngx_http_atls_store_taken(
    ngx_http_atls_stored_t *stored, ngx_http_atls_reply_t *reply,
    u_char *number);
static ngx_http_atls_taken_e ngx_http_atls_store_open(
    ngx_http_atls_stored_t *stored, ngx_str_t *data, ngx_str_t *passed);
static ngx_uint_t ngx_http_atls_store_is(ngx_http_atls_reply_t *reply,
    const char *text);
static ngx_int_t ngx_http_atls_store_seal(ngx_http_atls_op_t *op);
static void ngx_http_atls_store_done(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply);
static void ngx_http_atls_store_refused(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_session_t *session, ngx_http_atls_putting_t *putting);
static void ngx_http_atls_store_left(ngx_http_atls_stored_t *stored,
    ngx_http_atls_ending_e reason);


static const char  ngx_http_atls_store_take_script[] =
    "local v = redis.call('GET', KEYS[1])\n"
    "if not v then return false end\n"
    "if string.sub(v, 1, 1) == 'O' then return {'O', string.sub(v, 2)} end\n"
    NGX_HTTP_ATLS_STORE_INCARNATION
    "if string.sub(v, 2, 81) ~= i then return 'X' end\n"
    "local t = redis.call('PTTL', KEYS[1])\n"
    "redis.call('SET', KEYS[1], 'O' .. ARGV[1], 'PX',\n"
    "           tonumber(string.sub(v, 82, 93)))\n"
    "t = tonumber(string.sub(v, 94, 105)) - t\n"
    "return {string.sub(v, 106), tostring(t)}\n";

static const char  ngx_http_atls_store_put_script[] =
    NGX_HTTP_ATLS_STORE_INCARNATION
    "return redis.call('SET', KEYS[1], 'S' .. i .. ARGV[1] .. ARGV[2],\n"
    "                  'PX', ARGV[3])\n";


/*
 * The name of the key is the identifier in logs, a hash of that of the client:
 * who reads the store does not learn cookies.
 */

static ngx_http_atls_op_t *
ngx_http_atls_store_op(ngx_http_atls_main_conf_t *amcf, u_char *id,
    const char *script, ngx_http_atls_op_pt handler)
{
    u_char                  *p, *name, hash[NGX_HTTP_ATLS_ID_LEN];
    ngx_str_t               *prefix;
    ngx_http_atls_op_t      *op;
    ngx_http_atls_stored_t  *stored;

    prefix = &amcf->store->prefix;

    op = ngx_http_atls_redis_op(handler, NULL);
    if (op == NULL) {
        return NULL;
    }

    stored = ngx_pcalloc(op->pool, sizeof(ngx_http_atls_stored_t));
    name = ngx_pnalloc(op->pool, prefix->len + 2 * NGX_HTTP_ATLS_ID_LEN);

    if (stored == NULL || name == NULL
        || ngx_http_atls_label_hash(id, hash, ngx_cycle->log) != NGX_OK)
    {
        ngx_http_atls_redis_free(op);
        return NULL;
    }

    stored->conf = amcf;
    ngx_memcpy(stored->id, id, NGX_HTTP_ATLS_ID_LEN);

    op->data = stored;
    op->script = script;

    p = ngx_cpymem(name, prefix->data, prefix->len);
    p = ngx_hex_dump(p, hash, NGX_HTTP_ATLS_ID_LEN);

    ngx_http_atls_redis_arg(op, (u_char *) "1", 1);
    ngx_http_atls_redis_arg(op, name, p - name);

    return op;
}


ngx_int_t
ngx_http_atls_store_take(ngx_http_atls_main_conf_t *amcf, u_char *id,
    ngx_http_atls_taking_t *taking)
{
    ngx_http_atls_op_t      *op;
    ngx_http_atls_stored_t  *stored;

    op = ngx_http_atls_store_op(amcf, id, ngx_http_atls_store_take_script,
                                ngx_http_atls_store_answered);
    if (op == NULL) {
        return NGX_ERROR;
    }

    stored = op->data;
    stored->taking = taking;

    ngx_http_atls_redis_arg(op, amcf->store->number, NGX_HTTP_ATLS_TAG_LEN);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls %08xD store take",
                   ngx_http_atls_label(id, ngx_cycle->log));

    if (ngx_http_atls_redis_send(op) != NGX_OK) {
        return NGX_ERROR;
    }

    taking->op = op;

    return NGX_AGAIN;
}


static void
ngx_http_atls_store_answered(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply)
{
    u_char                   number[NGX_HTTP_ATLS_TAG_LEN];
    ngx_http_atls_taken_e    taken;
    ngx_http_atls_stored_t  *stored;
    ngx_http_atls_taking_t  *taking;

    stored = op->data;
    taking = stored->taking;

    taken = ngx_http_atls_store_taken(stored, reply, number);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls %08xD store taken: %d, waiting:%d",
                   ngx_http_atls_label(stored->id, ngx_cycle->log),
                   (int) taken, taking != NULL);

    if (taking == NULL) {
        return;
    }

    stored->taking = NULL;

    taking->op = NULL;
    taking->taken = taken;
    ngx_memcpy(taking->number, number, NGX_HTTP_ATLS_TAG_LEN);

    taking->handler(taking);
}


static ngx_http_atls_taken_e
ngx_http_atls_store_taken(ngx_http_atls_stored_t *stored,
    ngx_http_atls_reply_t *reply, u_char *number)
{
    ngx_str_t  *value;

    value = reply->values;

    ngx_memzero(number, NGX_HTTP_ATLS_TAG_LEN);

    if (reply->status != ngx_http_atls_reply_ok) {
        return ngx_http_atls_taken_failed;
    }

    if (reply->nvalues == 0) {
        return ngx_http_atls_taken_none;
    }

    if (ngx_http_atls_store_is(reply, "X")) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "atls session lost: the store was restarted or failed "
                      "over");
        ngx_http_atls_count(store[ngx_http_atls_store_outdated]);
        return ngx_http_atls_taken_gone;
    }

    if (reply->nvalues == 1) {
        ngx_http_atls_redis_mismatch();
        return ngx_http_atls_taken_failed;
    }

    if (value[0].len == 1) {

        if (value[1].len != NGX_HTTP_ATLS_TAG_LEN) {
            return ngx_http_atls_taken_gone;
        }

        ngx_memcpy(number, value[1].data, NGX_HTTP_ATLS_TAG_LEN);

        return ngx_http_atls_taken_owner;
    }

    return ngx_http_atls_store_open(stored, &value[0], &value[1]);
}


static ngx_http_atls_taken_e
ngx_http_atls_store_open(ngx_http_atls_stored_t *stored, ngx_str_t *data,
    ngx_str_t *passed)
{
    off_t      n;
    ngx_int_t  rc;
    ngx_str_t  sealed;

    sealed = *data;

    /* the store may say anything */

    n = ngx_atoof(passed->data, passed->len);
    n = ngx_min(ngx_max(n, 0), NGX_HTTP_ATLS_STORE_LONGEST);

    rc = ngx_http_atls_seal_open(stored->conf->store, stored->id, data,
                                 ngx_cycle->log);

    if (rc != NGX_OK) {
        ngx_explicit_memzero(sealed.data, sealed.len);

        if (rc == NGX_ERROR) {

            /* the state of another session */

            ngx_http_atls_redis_mismatch();
            return ngx_http_atls_taken_failed;
        }

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "atls session cannot be opened, it was not sealed with "
                      "a key of \"atls_store_key\"");
        ngx_http_atls_count(store[ngx_http_atls_store_unsealed]);
        return ngx_http_atls_taken_gone;
    }

    /* before the session is in the table: other processes look for these */

    stored->conf->store->again();

    rc = ngx_http_atls_portable_read(stored->conf->zone, stored->id, data, n,
                                     ngx_cycle->log);

    ngx_explicit_memzero(sealed.data, sealed.len);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "atls session of the store cannot be used here");
        return ngx_http_atls_taken_gone;
    }

    ngx_http_atls_count(store[ngx_http_atls_store_took]);

    return ngx_http_atls_taken_here;
}


static ngx_uint_t
ngx_http_atls_store_is(ngx_http_atls_reply_t *reply, const char *text)
{
    return reply->nvalues == 1
           && reply->values[0].len == ngx_strlen(text)
           && ngx_memcmp(reply->values[0].data, text, ngx_strlen(text)) == 0;
}


void
ngx_http_atls_store_take_cancel(ngx_http_atls_taking_t *taking)
{
    ngx_http_atls_stored_t  *stored;

    if (taking->op) {
        stored = taking->op->data;
        stored->taking = NULL;
        taking->op = NULL;
    }
}


ngx_int_t
ngx_http_atls_store_put(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_session_t *session, ngx_http_atls_putting_t *putting)
{
    ngx_int_t                rc;
    ngx_http_atls_op_t      *op;
    ngx_http_atls_stored_t  *stored;

    rc = NGX_ERROR;

    op = ngx_http_atls_store_op(amcf, session->id,
                                ngx_http_atls_store_put_script,
                                ngx_http_atls_store_done);

    if (op) {
        stored = op->data;
        stored->session = session;
        stored->putting = putting;

        /* otherwise, it might be continued here and elsewhere */

        op->proven = 1;

        rc = ngx_http_atls_store_seal(op);

        if (rc != NGX_OK) {
            ngx_http_atls_redis_free(op);

        } else {
            rc = ngx_http_atls_redis_send(op);
        }
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls %08xD store put: %i",
                   ngx_http_atls_label(session->id, ngx_cycle->log), rc);

    if (rc != NGX_OK) {
        ngx_http_atls_store_refused(amcf, session, putting);
        return NGX_ERROR;
    }

    if (putting) {
        putting->op = op;
    }

    return NGX_AGAIN;
}


/* Adds the arguments of the script. */

static ngx_int_t
ngx_http_atls_store_seal(ngx_http_atls_op_t *op)
{
    u_char                  *p;
    int64_t                  idle, lifetime;
    ngx_int_t                rc;
    ngx_str_t                data, *sealed;
    ngx_http_atls_stored_t  *stored;

    stored = op->data;
    sealed = &stored->sealed;

    if (ngx_http_atls_portable_times(stored->session, &idle, &lifetime)
        != NGX_OK
        || ngx_http_atls_portable_write(stored->conf->zone, stored->session,
                                        op->pool, &data)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    sealed->len = data.len + NGX_HTTP_ATLS_SEAL_OVERHEAD;
    sealed->data = ngx_pnalloc(op->pool, sealed->len);

    rc = sealed->data
         ? ngx_http_atls_seal(stored->conf->store, stored->id, data.data,
                              data.len, sealed->data, ngx_cycle->log)
         : NGX_ERROR;

    ngx_explicit_memzero(data.data, data.len);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    lifetime = ngx_min(lifetime, NGX_HTTP_ATLS_STORE_LONGEST);
    idle = ngx_min(idle, NGX_HTTP_ATLS_STORE_LONGEST);

    ngx_sprintf(stored->times, "%012L%012L", lifetime, idle);
    p = ngx_sprintf(stored->ttl, "%L", idle);

    ngx_http_atls_redis_arg(op, stored->times, NGX_HTTP_ATLS_STORE_TIMES);
    ngx_http_atls_redis_arg(op, sealed->data, sealed->len);
    ngx_http_atls_redis_arg(op, stored->ttl, p - stored->ttl);

    return NGX_OK;
}


static void
ngx_http_atls_store_done(ngx_http_atls_op_t *op, ngx_http_atls_reply_t *reply)
{
    ngx_http_atls_reply_e     status;
    ngx_http_atls_stored_t   *stored;
    ngx_http_atls_putting_t  *putting;

    stored = op->data;
    putting = stored->putting;
    status = reply->status;

    if (status == ngx_http_atls_reply_ok
        && !ngx_http_atls_store_is(reply, "OK"))
    {
        ngx_http_atls_redis_mismatch();
        status = ngx_http_atls_reply_lost;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls %08xD store put done: %d, waiting:%d",
                   ngx_http_atls_label(stored->id, ngx_cycle->log),
                   (int) status, putting != NULL);

    switch (status) {

    case ngx_http_atls_reply_ok:
        ngx_http_atls_count(store[ngx_http_atls_store_puts]);
        ngx_http_atls_store_left(stored, ngx_http_atls_ending_moved);
        break;

    case ngx_http_atls_reply_refused:
        ngx_http_atls_store_refused(stored->conf, stored->session, putting);
        break;

    case ngx_http_atls_reply_lost:
        ngx_http_atls_store_left(stored, ngx_http_atls_ending_store);
        break;

    default: /* ngx_http_atls_reply_late */
        break;
    }

    if (putting) {
        stored->putting = NULL;

        putting->op = NULL;
        putting->done = (status == ngx_http_atls_reply_ok);
        putting->handler(putting);
    }
}


/*
 * If nobody waits for it, and this machine shuts down, it is put out again.
 * Otherwise, the caller does this.
 */

static void
ngx_http_atls_store_refused(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_session_t *session, ngx_http_atls_putting_t *putting)
{
    if (putting == NULL) {
        amcf->store->again();
    }

    ngx_http_atls_session_put(amcf->zone, session, NULL);
}


/*
 * If another worker of this machine has taken the session in the meantime, it
 * is there again: if this machine shuts down, it has to be put out again.
 */

static void
ngx_http_atls_store_left(ngx_http_atls_stored_t *stored,
    ngx_http_atls_ending_e reason)
{
    if (ngx_http_atls_portable_remove(stored->conf->zone, stored->session,
                                      reason, ngx_cycle->log)
        == NGX_DECLINED)
    {
        stored->conf->store->again();
    }
}


void
ngx_http_atls_store_put_cancel(ngx_http_atls_putting_t *putting)
{
    ngx_http_atls_stored_t  *stored;

    if (putting->op) {
        stored = putting->op->data;
        stored->putting = NULL;
        putting->op = NULL;
    }
}
