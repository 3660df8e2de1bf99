
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_redis.h"

#if (NGX_HTTP_ATLS_HIREDIS)

#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#include <openssl/rand.h>

#endif


#if (NGX_HTTP_ATLS_HIREDIS)

#define NGX_HTTP_ATLS_REDIS_MIN_PAUSE  100     /* before connecting again */
#define NGX_HTTP_ATLS_REDIS_MAX_PAUSE  3000
#define NGX_HTTP_ATLS_REDIS_STALLED    5000    /* without any reply */
#define NGX_HTTP_ATLS_REDIS_QUIET      1000    /* between errors in the log */
#define NGX_HTTP_ATLS_REDIS_ERROR      100     /* of a text in the log */
#define NGX_HTTP_ATLS_REDIS_LONGEST    (4 * 1024 * 1024)         /* reply */
#define NGX_HTTP_ATLS_REDIS_SHA        40


struct ngx_http_atls_redis_s {
    ngx_http_atls_store_t       *store;
    redisAsyncContext           *context;      /* NULL: not connected */
    ngx_connection_t            *connection;
    ngx_event_t                  timer;        /* connect, or give up */
    ngx_msec_t                   pause;
    ngx_uint_t                   pending;      /* commands without a reply */
    ngx_uint_t                   late;         /* those that timed out */
    ngx_msec_t                   refused;      /* when this was logged */
    ngx_log_t                   *log;

    unsigned                     connected:1;
    unsigned                     replica:1;    /* it is one now */
    unsigned                     exiting:1;
    unsigned                     complained:1; /* it is logged */
};


static void ngx_http_atls_redis_connect(ngx_http_atls_redis_t *redis);
static ngx_int_t ngx_http_atls_redis_attach(ngx_http_atls_redis_t *redis);
static void ngx_http_atls_redis_greet(ngx_http_atls_redis_t *redis);
static void ngx_http_atls_redis_greeted(redisAsyncContext *context, void *data,
    void *private);
static void ngx_http_atls_redis_connected(const redisAsyncContext *context,
    int status);
static void ngx_http_atls_redis_disconnected(const redisAsyncContext *context,
    int status);
static void ngx_http_atls_redis_complain(ngx_http_atls_redis_t *redis,
    const char *what, const char *why);
static void ngx_http_atls_redis_timer(ngx_event_t *ev);
static void ngx_http_atls_redis_read(ngx_event_t *ev);
static void ngx_http_atls_redis_idle(ngx_http_atls_redis_t *redis);
static void ngx_http_atls_redis_unexpected(ngx_http_atls_redis_t *redis,
    const char *what);
static void ngx_http_atls_redis_write(ngx_event_t *ev);
static void ngx_http_atls_redis_add_read(void *data);
static void ngx_http_atls_redis_del_read(void *data);
static void ngx_http_atls_redis_add_write(void *data);
static void ngx_http_atls_redis_del_write(void *data);
static void ngx_http_atls_redis_detach(void *data);
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
static const char *ngx_http_atls_redis_error(redisReply *r);
static ngx_uint_t ngx_http_atls_redis_ask(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op, redisReply *r);
static ngx_uint_t ngx_http_atls_redis_is_proof(ngx_http_atls_op_t *op,
    redisReply *r);
static ngx_uint_t ngx_http_atls_redis_repeat(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op, redisReply *r);
static void ngx_http_atls_redis_parse(ngx_http_atls_redis_t *redis,
    ngx_http_atls_op_t *op, redisReply *r, ngx_http_atls_reply_t *reply);
static ngx_uint_t ngx_http_atls_redis_unexecuted(redisReply *r);
static ngx_uint_t ngx_http_atls_redis_begins(redisReply *r, const char *code);
static void ngx_http_atls_redis_value(redisReply *r,
    ngx_http_atls_reply_t *reply);


/* Errors of a server that has not executed the command. */

static const char  *ngx_http_atls_redis_codes[] = {
    "ASK ",
    "BUSY ",
    "CLUSTERDOWN ",
    "CROSSSLOT ",
    "ERR unknown command ",
    "LOADING ",
    "MASTERDOWN ",
    "MISCONF ",
    "MOVED ",
    "NOAUTH ",
    "NOPERM ",
    "NOREPLICAS ",
    "NOSCRIPT ",
    "OOM ",
    "READONLY ",
    "TRYAGAIN ",
    NULL
};


ngx_int_t
ngx_http_atls_redis_init_worker(ngx_cycle_t *cycle,
    ngx_http_atls_store_t *store)
{
    ngx_connection_t       *c;
    ngx_http_atls_redis_t  *redis;

    redis = ngx_pcalloc(cycle->pool, sizeof(ngx_http_atls_redis_t));
    c = ngx_pcalloc(cycle->pool, sizeof(ngx_connection_t));

    if (redis == NULL || c == NULL) {
        return NGX_ERROR;
    }

    redis->store = store;
    redis->pause = NGX_HTTP_ATLS_REDIS_MIN_PAUSE;
    redis->log = cycle->log;

    /* for the debug log of the timer */

    c->fd = (ngx_socket_t) -1;
    c->data = redis;

    redis->timer.handler = ngx_http_atls_redis_timer;
    redis->timer.data = c;
    redis->timer.log = cycle->log;
    redis->timer.cancelable = 1;

    ngx_http_atls_process.redis = redis;

    ngx_http_atls_redis_connect(redis);

    return NGX_OK;
}


void
ngx_http_atls_redis_exit_worker(void)
{
    ngx_http_atls_redis_t  *redis;

    redis = ngx_http_atls_process.redis;

    if (redis == NULL) {
        return;
    }

    redis->exiting = 1;

    if (redis->context) {
        redisAsyncFree(redis->context);
    }

    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }
}


static void
ngx_http_atls_redis_connect(ngx_http_atls_redis_t *redis)
{
    redisAsyncContext      *context;
    ngx_http_atls_store_t  *store;

    store = redis->store;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, redis->log, 0,
                   "atls store connect to %V:%d", &store->host,
                   (int) store->port);

    context = store->port ? redisAsyncConnect((char *) store->host.data,
                                              store->port)
                          : redisAsyncConnectUnix((char *) store->host.data);

    if (context == NULL || context->err) {
        ngx_http_atls_redis_complain(redis, "cannot be reached",
                                     context ? context->errstr : "no memory");

        if (context) {
            redisAsyncFree(context);
        }

        goto failed;
    }

    context->data = redis;

    redis->context = context;
    redis->connected = 0;
    redis->replica = 0;

    if (ngx_http_atls_redis_attach(redis) != NGX_OK) {
        redis->context = NULL;
        redisAsyncFree(context);
        goto failed;
    }

    (void) redisAsyncSetConnectCallback(context, ngx_http_atls_redis_connected);
    (void) redisAsyncSetDisconnectCallback(context,
                                           ngx_http_atls_redis_disconnected);

    ngx_add_timer(&redis->timer, NGX_HTTP_ATLS_REDIS_STALLED);

    ngx_http_atls_redis_greet(redis);

    return;

failed:

    ngx_add_timer(&redis->timer, redis->pause);
    redis->pause = ngx_min(2 * redis->pause, NGX_HTTP_ATLS_REDIS_MAX_PAUSE);
}


/*
 * The adapter: the socket belongs to hiredis, which asks for events that are
 * level-triggered.
 */

static ngx_int_t
ngx_http_atls_redis_attach(ngx_http_atls_redis_t *redis)
{
    ngx_connection_t   *c;
    redisAsyncContext  *context;

    context = redis->context;

    c = ngx_get_connection(context->c.fd, redis->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = redis;
    c->log = redis->log;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    c->read->log = redis->log;
    c->write->log = redis->log;
    c->read->handler = ngx_http_atls_redis_read;
    c->write->handler = ngx_http_atls_redis_write;

    redis->connection = c;

    context->ev.data = redis;
    context->ev.addRead = ngx_http_atls_redis_add_read;
    context->ev.delRead = ngx_http_atls_redis_del_read;
    context->ev.addWrite = ngx_http_atls_redis_add_write;
    context->ev.delWrite = ngx_http_atls_redis_del_write;
    context->ev.cleanup = ngx_http_atls_redis_detach;

    return NGX_OK;
}


/* The commands are sent once the connection is established. */

static void
ngx_http_atls_redis_greet(ngx_http_atls_redis_t *redis)
{
    redisAsyncContext      *context;
    ngx_http_atls_store_t  *store;

    context = redis->context;
    store = redis->store;

    if (store->user.len) {
        (void) redisAsyncCommand(context, ngx_http_atls_redis_greeted, "AUTH",
                                 "AUTH %b %b", store->user.data,
                                 store->user.len, store->password.data,
                                 store->password.len);

    } else if (store->password.len) {
        (void) redisAsyncCommand(context, ngx_http_atls_redis_greeted, "AUTH",
                                 "AUTH %b", store->password.data,
                                 store->password.len);
    }

    (void) redisAsyncCommand(context, ngx_http_atls_redis_greeted, "SELECT",
                             "SELECT %d", (int) store->database);
}


static void
ngx_http_atls_redis_greeted(redisAsyncContext *context, void *data,
    void *private)
{
    redisReply             *r = data;
    ngx_http_atls_redis_t  *redis;

    redis = context->data;

    if (r == NULL) {
        return;
    }

    if (r->type == REDIS_REPLY_ERROR) {
        ngx_http_atls_redis_complain(redis, private,
                                     ngx_http_atls_redis_error(r));

    } else if (ngx_strcmp((char *) private, "SELECT") == 0) {

        if (redis->complained) {
            ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                          "atls_store \"%V\" is connected again",
                          &redis->store->url);
        }

        redis->complained = 0;
        redis->pause = NGX_HTTP_ATLS_REDIS_MIN_PAUSE;

        if (redis->pending == 0 && redis->timer.timer_set) {
            ngx_del_timer(&redis->timer);
        }
    }

    ngx_http_atls_redis_idle(redis);
}


static void
ngx_http_atls_redis_connected(const redisAsyncContext *context, int status)
{
    ngx_http_atls_redis_t  *redis;

    redis = context->data;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, redis->log, 0,
                   "atls store connected: %d", status);

    if (status == REDIS_OK) {
        redis->connected = 1;
        return;
    }

    /* hiredis frees the context */

    ngx_http_atls_redis_complain(redis, "cannot be reached", context->errstr);
}


static void
ngx_http_atls_redis_disconnected(const redisAsyncContext *context, int status)
{
    ngx_http_atls_redis_t  *redis;

    redis = context->data;

    if (status != REDIS_OK) {
        ngx_http_atls_redis_complain(redis, "has closed the connection",
                                     context->errstr);
    }
}


/* Once, until it works again. */

static void
ngx_http_atls_redis_complain(ngx_http_atls_redis_t *redis, const char *what,
    const char *why)
{
    if (redis->complained || redis->exiting) {
        return;
    }

    redis->complained = 1;

    ngx_log_error(NGX_LOG_ERR, redis->log, 0, "atls_store \"%V\" %s: %s",
                  &redis->store->url, what, why);
}


static void
ngx_http_atls_redis_timer(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_http_atls_redis_t  *redis;

    c = ev->data;
    redis = c->data;

    if (redis->context == NULL) {
        ngx_http_atls_redis_connect(redis);
        return;
    }

    ngx_http_atls_redis_complain(redis, "does not respond", "timed out");

    /* calls the handlers of all commands, and that of the connection */

    redisAsyncFree(redis->context);
}


/* hiredis aborts the process if there is a reply, but no command. */

static void
ngx_http_atls_redis_read(ngx_event_t *ev)
{
    u_char                  buf[1];
    ngx_connection_t       *c;
    ngx_http_atls_redis_t  *redis;

    c = ev->data;
    redis = c->data;

    if (redis->context->replies.head == NULL
        && recv(c->fd, buf, 1, MSG_PEEK) > 0)
    {
        ngx_http_atls_redis_unexpected(redis, "a reply without a command");
        return;
    }

    redisAsyncHandleRead(redis->context);

    if (redis->context
        && redis->context->c.reader->len > NGX_HTTP_ATLS_REDIS_LONGEST)
    {
        ngx_http_atls_redis_unexpected(redis, "a reply that is too long");
    }
}


/* The same, if there is more after the last reply. */

static void
ngx_http_atls_redis_idle(ngx_http_atls_redis_t *redis)
{
    redisReader        *reader;
    redisAsyncContext  *context;

    context = redis->context;
    reader = context->c.reader;

    if (context->replies.head == NULL && reader->pos < reader->len) {
        ngx_http_atls_redis_unexpected(redis, "a reply without a command");
    }
}


static void
ngx_http_atls_redis_unexpected(ngx_http_atls_redis_t *redis, const char *what)
{
    ngx_http_atls_redis_complain(redis, "has sent", what);

    redisAsyncFree(redis->context);
}


static void
ngx_http_atls_redis_write(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_http_atls_redis_t  *redis;

    c = ev->data;
    redis = c->data;

    redisAsyncHandleWrite(redis->context);
}


static void
ngx_http_atls_redis_add_read(void *data)
{
    ngx_http_atls_redis_t *redis = data;

    ngx_event_t  *rev;

    rev = redis->connection->read;

    if (!rev->active) {
        (void) ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_atls_redis_del_read(void *data)
{
    ngx_http_atls_redis_t *redis = data;

    ngx_event_t  *rev;

    rev = redis->connection->read;

    if (rev->active) {
        (void) ngx_del_event(rev, NGX_READ_EVENT, 0);
    }
}


static void
ngx_http_atls_redis_add_write(void *data)
{
    ngx_http_atls_redis_t *redis = data;

    ngx_event_t  *wev;

    wev = redis->connection->write;

    if (!wev->active) {
        (void) ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_atls_redis_del_write(void *data)
{
    ngx_http_atls_redis_t *redis = data;

    ngx_event_t  *wev;

    wev = redis->connection->write;

    if (wev->active) {
        (void) ngx_del_event(wev, NGX_WRITE_EVENT, 0);
    }
}


/* Afterwards, hiredis frees the context and closes the socket. */

static void
ngx_http_atls_redis_detach(void *data)
{
    ngx_http_atls_redis_t *redis = data;

    ngx_connection_t  *c;

    c = redis->connection;

    ngx_http_atls_redis_del_read(redis);
    ngx_http_atls_redis_del_write(redis);

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;

    redis->connection = NULL;
    redis->context = NULL;

    if (!redis->exiting) {
        ngx_add_timer(&redis->timer, redis->pause);
        redis->pause = ngx_min(2 * redis->pause, NGX_HTTP_ATLS_REDIS_MAX_PAUSE);
    }
}


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


/* Without control characters: who pretends to be the store could add lines. */

static const char *
ngx_http_atls_redis_error(redisReply *r)
{
    size_t  i;

    for (i = 0; i < (size_t) r->len && i < NGX_HTTP_ATLS_REDIS_ERROR; i++) {
        if ((u_char) r->str[i] < ' ' || r->str[i] == 0x7f) {
            r->str[i] = '?';
        }
    }

    r->str[i] = '\0';

    return r->str;
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


/*
 * Other errors may be those of a proxy that has passed the command on, and does
 * not know what became of it.  A script that fails has not written: writing is
 * the last thing it does.
 */

static ngx_uint_t
ngx_http_atls_redis_unexecuted(redisReply *r)
{
    const char  **code;

    if (r->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    for (code = ngx_http_atls_redis_codes; *code; code++) {
        if (ngx_http_atls_redis_begins(r, *code)) {
            return 1;
        }
    }

    return ngx_strstr(r->str, "user_script") != NULL;
}


static ngx_uint_t
ngx_http_atls_redis_begins(redisReply *r, const char *code)
{
    return r->type == REDIS_REPLY_ERROR
           && ngx_strncmp(r->str, code, ngx_strlen(code)) == 0;
}


static void
ngx_http_atls_redis_value(redisReply *r, ngx_http_atls_reply_t *reply)
{
    if (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS) {
        reply->values[reply->nvalues].data = (u_char *) r->str;
        reply->values[reply->nvalues].len = r->len;
        reply->nvalues++;
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


/* "atls_store" is refused, so there is nothing to connect to. */

ngx_int_t
ngx_http_atls_redis_init_worker(ngx_cycle_t *cycle,
    ngx_http_atls_store_t *store)
{
    return NGX_ERROR;
}


void
ngx_http_atls_redis_exit_worker(void)
{
    /* void */
}


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
