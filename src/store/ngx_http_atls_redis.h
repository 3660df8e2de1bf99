
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The connection of this worker process to the store: Redis or Valkey, by the
 * asynchronous interface of hiredis.  Nothing here blocks.
 */


#ifndef _NGX_HTTP_ATLS_REDIS_H_INCLUDED_
#define _NGX_HTTP_ATLS_REDIS_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_store_conf.h"


#define NGX_HTTP_ATLS_REDIS_ARGS   6
#define NGX_HTTP_ATLS_REDIS_PROOF  (sizeof("atls-") - 1 + 2 * 8)


typedef enum {
    ngx_http_atls_reply_ok = 0,                /* values: none, one or two */
    ngx_http_atls_reply_refused,               /* certainly not executed */
    ngx_http_atls_reply_late,                  /* not yet: the handler is called
                                                  again */
    ngx_http_atls_reply_lost                   /* nobody knows */
} ngx_http_atls_reply_e;


/* The values are valid during the call of the handler. */

typedef struct {
    ngx_http_atls_reply_e        status;
    ngx_uint_t                   nvalues;
    ngx_str_t                    values[2];
} ngx_http_atls_reply_t;


typedef struct ngx_http_atls_op_s  ngx_http_atls_op_t;

typedef void (*ngx_http_atls_op_pt)(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply);


/*
 * A command, in a pool of its own, which is destroyed after the last call of
 * the handler.  If there is a script, the arguments are those of EVALSHA, from
 * the number of keys.  If "proven" is set, it is only refused if the error is
 * certainly the reply to this command.
 */

struct ngx_http_atls_op_s {
    ngx_pool_t                  *pool;
    const char                  *script;       /* or NULL */
    ngx_uint_t                   nargs;
    ngx_str_t                    args[NGX_HTTP_ATLS_REDIS_ARGS];
    ngx_http_atls_op_pt          handler;
    void                        *data;

    ngx_event_t                  timer;
    u_char                       proof[NGX_HTTP_ATLS_REDIS_PROOF + 1];
    unsigned                     urgent:1;     /* sent while others are late */
    unsigned                     proven:1;
    unsigned                     asked:1;      /* for the proof */
    unsigned                     unknown:1;    /* the script, by the error */
    unsigned                     repeated:1;   /* with the whole script */
    unsigned                     late:1;       /* it has timed out */
};


/* Connects; on exit, the second function closes the connection. */

ngx_int_t ngx_http_atls_redis_init_worker(ngx_cycle_t *cycle,
    ngx_http_atls_store_t *store);
void ngx_http_atls_redis_exit_worker(void);

/* A new command.  NULL: no memory. */

ngx_http_atls_op_t *ngx_http_atls_redis_op(ngx_http_atls_op_pt handler,
    void *data);
void ngx_http_atls_redis_arg(ngx_http_atls_op_t *op, u_char *data, size_t len);

/*
 * Sends the command.  NGX_ERROR: there is no connection, or the store does not
 * respond; the command was not sent, its handler is not called, and it is
 * freed.
 */

ngx_int_t ngx_http_atls_redis_send(ngx_http_atls_op_t *op);

/*
 * Called by the handler of a command that cannot have this reply: it is that to
 * another command, as are all later ones.  Closes the connection; the handlers
 * of other commands are called after this one, as if it was lost.
 */

void ngx_http_atls_redis_mismatch(void);

/* Frees a command that was not sent. */

void ngx_http_atls_redis_free(ngx_http_atls_op_t *op);


#endif /* _NGX_HTTP_ATLS_REDIS_H_INCLUDED_ */
