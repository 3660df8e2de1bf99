
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_redis.h"
#include "ngx_http_atls_redis_connection.h"
#include "ngx_http_atls_redis_reply.h"


#if (NGX_HTTP_ATLS_HIREDIS)

#include <openssl/rand.h>


#define NGX_HTTP_ATLS_REDIS_QUIET      1000    /* between errors in the log */
#define NGX_HTTP_ATLS_REDIS_SHA        40


static ngx_int_t ngx_http_atls_redis_write_op(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op);
static ngx_int_t ngx_http_atls_redis_write_args(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op, ngx_uint_t n, const char **argv, size_t *len);
static ngx_int_t ngx_http_atls_redis_sha(const char *script, char *hex);
static void ngx_http_atls_redis_timeout(ngx_event_t *ev);
static void ngx_http_atls_redis_reply(redisAsyncContext *context, void *data,
    void *private);
static void ngx_http_atls_redis_refused(ngx_http_atls_redis_t *redis,
    redisReply *r);
static ngx_uint_t ngx_http_atls_redis_ask(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op, redisReply *r);
static ngx_uint_t ngx_http_atls_redis_is_proof(ngx_http_atls_op_t *op,
    redisReply *r);
static ngx_uint_t ngx_http_atls_redis_repeat(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op, redisReply *r);
static void ngx_http_atls_redis_parse(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op, redisReply *r, ngx_http_atls_reply_t *reply);


ngx_http_atls_op_t *
ngx_http_atls_redis_op(ngx_http_atls_op_pt handler, void *data)
{
    ngx_pool_t          *pool;
    ngx_http_atls_op_t  *op;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    op = ngx_pcalloc(pool, sizeof(ngx_http_atls_op_t));

    if (op == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    op->pool = pool;
    op->handler = handler;
    op->data = data;

    op->timer.handler = ngx_http_atls_redis_timeout;
    op->timer.data = op;
    op->timer.log = ngx_cycle->log;

    return op;
}


void
ngx_http_atls_redis_arg(ngx_http_atls_op_t *op, u_char *data, size_t len)
{
    op->args[op->nargs].data = data;
    op->args[op->nargs].len = len;

    op->nargs++;
}


ngx_int_t
ngx_http_atls_redis_send(ngx_http_atls_op_t *op)
{
    ngx_http_atls_redis_t  *redis;

    redis = ngx_http_atls_process.redis;

    if (redis->context == NULL || redis->complained || redis->replica
        || (redis->late && !op->urgent)
        || ngx_http_atls_redis_write_op(redis, op) != NGX_OK)
    {
        ngx_http_atls_redis_free(op);
        return NGX_ERROR;
    }

    ngx_add_timer(&op->timer, redis->store->timeout);

    return NGX_OK;
}


/* A script is sent as its hash, which the store knows after the first time. */

static ngx_int_t
ngx_http_atls_redis_write_op(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op)
{
    char         sha[NGX_HTTP_ATLS_REDIS_SHA + 1];
    size_t       len[NGX_HTTP_ATLS_REDIS_ARGS + 2];
    ngx_uint_t   i, n;
    const char  *argv[NGX_HTTP_ATLS_REDIS_ARGS + 2];

    n = 0;

    if (op->script) {

        if (op->repeated) {
            argv[0] = "EVAL";
            argv[1] = op->script;

        } else {
            if (ngx_http_atls_redis_sha(op->script, sha) != NGX_OK) {
                return NGX_ERROR;
            }

            argv[0] = "EVALSHA";
            argv[1] = sha;
        }

        len[0] = ngx_strlen(argv[0]);
        len[1] = ngx_strlen(argv[1]);
        n = 2;
    }

    for (i = 0; i < op->nargs; i++, n++) {
        argv[n] = (const char *) op->args[i].data;
        len[n] = op->args[i].len;
    }

    return ngx_http_atls_redis_write_args(redis, op, n, argv, len);
}


static ngx_int_t
ngx_http_atls_redis_write_args(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op, ngx_uint_t n, const char **argv, size_t *len)
{
    if (redisAsyncCommandArgv(redis->context, ngx_http_atls_redis_reply, op,
                              (int) n, argv, len)
        != REDIS_OK)
    {
        return NGX_ERROR;
    }

    redis->pending++;

    if (!redis->timer.timer_set) {
        ngx_add_timer(&redis->timer, NGX_HTTP_ATLS_REDIS_STALLED);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_redis_sha(const char *script, char *hex)
{
    u_char  *p, hash[EVP_MAX_MD_SIZE];

    if (EVP_Digest(script, ngx_strlen(script), hash, NULL, EVP_sha1(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    p = ngx_hex_dump((u_char *) hex, hash, NGX_HTTP_ATLS_REDIS_SHA / 2);
    *p = '\0';

    return NGX_OK;
}


/*
 * The command may still be executed.  Until there is a reply, no more commands
 * are sent: POSTs do not wait for a store that does not respond, and one that
 * is too slow does not get further behind.
 */

static void
ngx_http_atls_redis_timeout(ngx_event_t *ev)
{
    ngx_http_atls_op_t *op = ev->data;

    ngx_http_atls_reply_t   reply;
    ngx_http_atls_redis_t  *redis;

    redis = ngx_http_atls_process.redis;

    op->late = 1;

    if (redis->late++ == 0) {
        ngx_log_error(NGX_LOG_ERR, redis->log, 0,
                      "atls_store \"%V\" did not respond within %M ms",
                      &redis->store->url, redis->store->timeout);
    }

    ngx_memzero(&reply, sizeof(ngx_http_atls_reply_t));
    reply.status = ngx_http_atls_reply_late;

    ngx_http_atls_count(store[ngx_http_atls_store_timed_out]);

    op->handler(op, &reply);
}


static void
ngx_http_atls_redis_reply(redisAsyncContext *context, void *data,
    void *private)
{
    redisReply          *r = data;
    ngx_http_atls_op_t  *op = private;

    ngx_http_atls_reply_t   reply;
    ngx_http_atls_redis_t  *redis;

    redis = context->data;
    redis->pending--;

    if (r) {
        if (redis->timer.timer_set) {
            ngx_del_timer(&redis->timer);
        }

        if (redis->pending) {
            ngx_add_timer(&redis->timer, NGX_HTTP_ATLS_REDIS_STALLED);
        }

        /* the master may have taken over the address of this one */

        redis->replica |= (r->type == REDIS_REPLY_ERROR
                           && ngx_strstr(r->str, "READONLY ") != NULL);

        if (ngx_http_atls_redis_ask(redis, op, r)
            || ngx_http_atls_redis_repeat(redis, op, r))
        {
            return;
        }
    }

    redis->late -= op->late;

    if (redis->exiting) {
        ngx_http_atls_redis_free(op);
        return;
    }

    ngx_http_atls_redis_parse(redis, op, r, &reply);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, redis->log, 0,
                   "atls store reply: %d, values:%ui", (int) reply.status,
                   reply.nvalues);

    if (reply.status != ngx_http_atls_reply_ok) {
        ngx_http_atls_count(store[ngx_http_atls_store_failed]);
    }

    op->handler(op, &reply);

    ngx_http_atls_redis_free(op);

    if (r == NULL) {
        return;
    }

    if (redis->replica && redis->pending == 0) {
        redisAsyncDisconnect(context);
    }

    ngx_http_atls_redis_idle(redis);
}


/* At most once a second: if the store is full, these may be all commands. */

static void
ngx_http_atls_redis_refused(ngx_http_atls_redis_t *redis, redisReply *r)
{
    if (redis->refused
        && ngx_current_msec - redis->refused < NGX_HTTP_ATLS_REDIS_QUIET)
    {
        return;
    }

    redis->refused = ngx_current_msec;

    ngx_log_error(NGX_LOG_ERR, redis->log, 0,
                  "atls_store \"%V\" has refused a command: %s",
                  &redis->store->url, ngx_http_atls_redis_error(r));
}


/*
 * An error does not tell to which command it is the reply.  After a reply too
 * many, it is that to an earlier one, and this one was executed.  But the error
 * of a command that does not exist has its name, in any state of the server and
 * without any permission: if it is the next reply, each command has got its
 * own.
 */

static ngx_uint_t
ngx_http_atls_redis_ask(ngx_http_atls_redis_t *redis, ngx_http_atls_op_t *op,
    redisReply *r)
{
    u_char      *p, random[8];
    size_t       len;
    const char  *argv;

    if (!op->proven || op->asked || !ngx_http_atls_redis_unexecuted(r)) {
        return 0;
    }

    op->unknown = ngx_http_atls_redis_begins(r, "NOSCRIPT ");

    if (!op->unknown) {
        ngx_http_atls_redis_refused(redis, r);
    }

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return 0;
    }

    op->asked = 1;

    p = ngx_cpymem(op->proof, "atls-", sizeof("atls-") - 1);
    p = ngx_hex_dump(p, random, sizeof(random));
    *p = '\0';

    argv = (const char *) op->proof;
    len = NGX_HTTP_ATLS_REDIS_PROOF;

    return ngx_http_atls_redis_write_args(redis, op, 1, &argv, &len) == NGX_OK;
}


static ngx_uint_t
ngx_http_atls_redis_is_proof(ngx_http_atls_op_t *op, redisReply *r)
{
    return op->asked && r->type == REDIS_REPLY_ERROR
           && ngx_strstr(r->str, op->proof) != NULL;
}


/* A store that has been restarted does not know the script. */

static ngx_uint_t
ngx_http_atls_redis_repeat(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op, redisReply *r)
{
    if (op->proven) {
        if (!op->unknown || !ngx_http_atls_redis_is_proof(op, r)) {
            return 0;
        }

    } else if (!ngx_http_atls_redis_begins(r, "NOSCRIPT ")) {
        return 0;
    }

    if (op->script == NULL || op->repeated) {
        return 0;
    }

    op->repeated = 1;

    if (ngx_http_atls_redis_write_op(redis, op) != NGX_OK) {
        return 0;
    }

    op->asked = 0;

    return 1;
}


static void
ngx_http_atls_redis_parse(ngx_http_atls_redis_t *redis, ngx_http_atls_op_t *op,
    redisReply *r, ngx_http_atls_reply_t *reply)
{
    size_t  i;

    ngx_memzero(reply, sizeof(ngx_http_atls_reply_t));

    if (r == NULL) {
        reply->status = redis->connected ? ngx_http_atls_reply_lost
                                         : ngx_http_atls_reply_refused;
        return;
    }

    if (ngx_http_atls_redis_is_proof(op, r)) {
        reply->status = ngx_http_atls_reply_refused;
        return;
    }

    if (op->asked) {
        ngx_http_atls_redis_unexpected(redis, "a reply to another command");
        reply->status = ngx_http_atls_reply_lost;
        return;
    }

    switch (r->type) {

    case REDIS_REPLY_ERROR:
        reply->status = ngx_http_atls_redis_unexecuted(r) && !op->proven
                        ? ngx_http_atls_reply_refused
                        : ngx_http_atls_reply_lost;

        ngx_http_atls_redis_refused(redis, r);
        return;

    case REDIS_REPLY_ARRAY:

        for (i = 0; i < r->elements && i < 2; i++) {
            ngx_http_atls_redis_value(r->element[i], reply);
        }

        return;

    default:
        ngx_http_atls_redis_value(r, reply);
    }
}


/* hiredis frees the context when the callback has returned. */

void
ngx_http_atls_redis_mismatch(void)
{
    ngx_http_atls_count(store[ngx_http_atls_store_failed]);

    ngx_http_atls_redis_unexpected(ngx_http_atls_process.redis,
                                   "a reply to another command");
}


void
ngx_http_atls_redis_free(ngx_http_atls_op_t *op)
{
    if (op->timer.timer_set) {
        ngx_del_timer(&op->timer);
    }

    ngx_destroy_pool(op->pool);
}


#else


ngx_http_atls_op_t *
ngx_http_atls_redis_op(ngx_http_atls_op_pt handler, void *data)
{
    return NULL;
}


void
ngx_http_atls_redis_arg(ngx_http_atls_op_t *op, u_char *data, size_t len)
{
    /* void */
}


ngx_int_t
ngx_http_atls_redis_send(ngx_http_atls_op_t *op)
{
    return NGX_ERROR;
}


void
ngx_http_atls_redis_mismatch(void)
{
    /* void */
}


void
ngx_http_atls_redis_free(ngx_http_atls_op_t *op)
{
    /* void */
}


#endif
