
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The connection of ngx_http_atls_redis.h: how it begins and ends, and the
 * events of hiredis.
 */


#ifndef _NGX_HTTP_ATLS_REDIS_CONNECTION_H_INCLUDED_
#define _NGX_HTTP_ATLS_REDIS_CONNECTION_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_store_conf.h"

#if (NGX_HTTP_ATLS_HIREDIS)

#include <hiredis/hiredis.h>
#include <hiredis/async.h>


#define NGX_HTTP_ATLS_REDIS_STALLED    5000    /* without any reply */


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


/*
 * Called after each reply: closes the connection if there is more than replies
 * to the commands.
 */

void ngx_http_atls_redis_idle(ngx_http_atls_redis_t *redis);

/* Logs what the store has sent, and closes the connection. */

void ngx_http_atls_redis_unexpected(ngx_http_atls_redis_t *redis,
    const char *what);


#endif


#endif /* _NGX_HTTP_ATLS_REDIS_CONNECTION_H_INCLUDED_ */
