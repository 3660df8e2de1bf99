
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_redis.h"
#include "ngx_http_atls_redis_connection.h"
#include "ngx_http_atls_redis_reply.h"


#if (NGX_HTTP_ATLS_HIREDIS)

#define NGX_HTTP_ATLS_REDIS_MIN_PAUSE  100     /* before connecting again */
#define NGX_HTTP_ATLS_REDIS_MAX_PAUSE  3000
#define NGX_HTTP_ATLS_REDIS_LONGEST    (4 * 1024 * 1024)         /* reply */


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
static void ngx_http_atls_redis_write(ngx_event_t *ev);
static void ngx_http_atls_redis_add_read(void *data);
static void ngx_http_atls_redis_del_read(void *data);
static void ngx_http_atls_redis_add_write(void *data);
static void ngx_http_atls_redis_del_write(void *data);
static void ngx_http_atls_redis_detach(void *data);


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

void
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


void
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


#endif
