
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_node.h"
#include "ngx_http_atls_link_pool.h"


#define NGX_HTTP_ATLS_LINK_POOL_IDLE      32
#define NGX_HTTP_ATLS_LINK_POOL_SESSIONS  64
#define NGX_HTTP_ATLS_LINK_POOL_TIMEOUT   30000     /* nginx: 75 seconds */


typedef struct {
    ngx_connection_t          *connection;     /* NULL: free */
    ngx_http_atls_node_t       node;
    ngx_uint_t                 used;
} ngx_http_atls_link_idle_t;


typedef struct {
    ngx_ssl_session_t         *session;        /* NULL: free */
    u_char                     number[NGX_HTTP_ATLS_TAG_LEN];
    ngx_uint_t                 used;
} ngx_http_atls_link_session_t;


struct ngx_http_atls_link_pool_s {
    ngx_uint_t                    clock;       /* of uses */
    ngx_http_atls_link_idle_t     idle[NGX_HTTP_ATLS_LINK_POOL_IDLE];
    ngx_http_atls_link_session_t  sessions[NGX_HTTP_ATLS_LINK_POOL_SESSIONS];
};


static void ngx_http_atls_link_pool_attach(ngx_connection_t *c, ngx_log_t *log);
static void ngx_http_atls_link_pool_event(ngx_event_t *ev);
static ngx_http_atls_link_session_t *ngx_http_atls_link_pool_find(
    u_char *number);


ngx_int_t
ngx_http_atls_link_pool_init_worker(ngx_cycle_t *cycle)
{
    ngx_http_atls_process.link_pool =
                      ngx_pcalloc(cycle->pool,
                                  sizeof(ngx_http_atls_link_pool_t));

    return ngx_http_atls_process.link_pool ? NGX_OK : NGX_ERROR;
}


void
ngx_http_atls_link_pool_exit_worker(void)
{
    ngx_uint_t                  i;
    ngx_http_atls_link_pool_t  *pool;

    pool = ngx_http_atls_process.link_pool;

    if (pool == NULL) {
        return;
    }

    for (i = 0; i < NGX_HTTP_ATLS_LINK_POOL_IDLE; i++) {
        if (pool->idle[i].connection) {
            ngx_http_atls_link_pool_close(pool->idle[i].connection);
            pool->idle[i].connection = NULL;
        }
    }

    for (i = 0; i < NGX_HTTP_ATLS_LINK_POOL_SESSIONS; i++) {
        if (pool->sessions[i].session) {
            ngx_ssl_free_session(pool->sessions[i].session);
            pool->sessions[i].session = NULL;
        }
    }
}


/* The one that was used last: the others may expire. */

ngx_connection_t *
ngx_http_atls_link_pool_get(ngx_http_atls_node_t *node)
{
    ngx_uint_t                  i;
    ngx_connection_t           *c;
    ngx_http_atls_link_pool_t  *pool;
    ngx_http_atls_link_idle_t  *idle, *found;

    pool = ngx_http_atls_process.link_pool;
    found = NULL;

    for (i = 0; i < NGX_HTTP_ATLS_LINK_POOL_IDLE; i++) {
        idle = &pool->idle[i];

        if (idle->connection
            && ngx_strcmp(idle->node.name, node->name) == 0
            && ngx_cmp_sockaddr(&idle->node.sockaddr.sockaddr,
                                idle->node.socklen, &node->sockaddr.sockaddr,
                                node->socklen, 1)
               == NGX_OK
            && (found == NULL || idle->used > found->used))
        {
            found = idle;
        }
    }

    if (found == NULL) {
        return NULL;
    }

    c = found->connection;
    found->connection = NULL;

    c->idle = 0;
    ngx_reusable_connection(c, 0);

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    return c;
}


/*
 * If there are too many, the one that was not used for the longest time is
 * closed.
 */

void
ngx_http_atls_link_pool_put(ngx_http_atls_node_t *node, ngx_connection_t *c)
{
    ngx_uint_t                  i;
    ngx_http_atls_link_pool_t  *pool;
    ngx_http_atls_link_idle_t  *idle;

    pool = ngx_http_atls_process.link_pool;

    if (ngx_terminate || ngx_exiting || c->read->eof || c->read->error
        || c->read->timedout || c->write->error || c->write->timedout
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        ngx_http_atls_link_pool_close(c);
        return;
    }

    idle = &pool->idle[0];

    for (i = 1; i < NGX_HTTP_ATLS_LINK_POOL_IDLE && idle->connection; i++) {
        if (pool->idle[i].connection == NULL
            || pool->idle[i].used < idle->used)
        {
            idle = &pool->idle[i];
        }
    }

    if (idle->connection) {
        ngx_http_atls_link_pool_close(idle->connection);
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls link to \"%s\" kept, connection *%uA", node->name,
                   c->number);

    idle->connection = c;
    idle->node = *node;
    idle->used = ++pool->clock;

    ngx_http_atls_link_pool_attach(c, ngx_cycle->log);

    c->data = idle;
    c->idle = 1;
    c->log_error = NGX_ERROR_INFO;
    c->read->handler = ngx_http_atls_link_pool_event;
    c->write->handler = ngx_http_empty_handler;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->delayed = 0;
    ngx_add_timer(c->read, NGX_HTTP_ATLS_LINK_POOL_TIMEOUT);

    ngx_reusable_connection(c, 1);

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static void
ngx_http_atls_link_pool_attach(ngx_connection_t *c, ngx_log_t *log)
{
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->pool->log = log;
}


/* Nothing is expected: the other machine has closed the connection. */

static void
ngx_http_atls_link_pool_event(ngx_event_t *ev)
{
    u_char                      buf[1];
    ngx_connection_t           *c;
    ngx_http_atls_link_idle_t  *idle;

    c = ev->data;
    idle = c->data;

    if (!c->close && !ev->timedout && c->recv(c, buf, 1) == NGX_AGAIN
        && ngx_handle_read_event(c->read, 0) == NGX_OK)
    {
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls link to \"%s\" closed, connection *%uA",
                   idle->node.name, c->number);

    idle->connection = NULL;

    ngx_http_atls_link_pool_close(c);
}


static ngx_http_atls_link_session_t *
ngx_http_atls_link_pool_find(u_char *number)
{
    ngx_uint_t                     i;
    ngx_http_atls_link_session_t  *s;

    s = ngx_http_atls_process.link_pool->sessions;

    for (i = 0; i < NGX_HTTP_ATLS_LINK_POOL_SESSIONS; i++) {
        if (s[i].session
            && ngx_memcmp(s[i].number, number, NGX_HTTP_ATLS_TAG_LEN) == 0)
        {
            return &s[i];
        }
    }

    return NULL;
}


ngx_ssl_session_t *
ngx_http_atls_link_pool_session(ngx_http_atls_node_t *node)
{
    ngx_http_atls_link_session_t  *s;

    s = ngx_http_atls_link_pool_find(node->number);

    return s ? s->session : NULL;
}


void
ngx_http_atls_link_pool_save(ngx_http_atls_node_t *node,
    ngx_ssl_session_t *session)
{
    ngx_uint_t                     i;
    ngx_http_atls_link_pool_t     *pool;
    ngx_http_atls_link_session_t  *s;

    pool = ngx_http_atls_process.link_pool;

    s = ngx_http_atls_link_pool_find(node->number);

    if (s == NULL) {
        s = &pool->sessions[0];

        for (i = 1; i < NGX_HTTP_ATLS_LINK_POOL_SESSIONS && s->session; i++) {
            if (pool->sessions[i].session == NULL
                || pool->sessions[i].used < s->used)
            {
                s = &pool->sessions[i];
            }
        }
    }

    if (s->session) {
        ngx_ssl_free_session(s->session);
    }

    s->session = session;
    s->used = ++pool->clock;
    ngx_memcpy(s->number, node->number, NGX_HTTP_ATLS_TAG_LEN);
}


void
ngx_http_atls_link_pool_close(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = !c->ssl->handshaked;

        (void) ngx_ssl_shutdown(c);
    }

    pool = c->pool;

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}
