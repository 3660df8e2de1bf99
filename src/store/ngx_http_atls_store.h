
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Sessions in the store.  A session is in the table of one machine or in the
 * store, never in both; the protocol is described in docs/design.md.
 */


#ifndef _NGX_HTTP_ATLS_STORE_H_INCLUDED_
#define _NGX_HTTP_ATLS_STORE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_redis.h"
#include "ngx_http_atls_store_conf.h"


/* What the store knows about a session. */

typedef enum {
    ngx_http_atls_taken_none = 0,
    ngx_http_atls_taken_here,                  /* now it is in the table */
    ngx_http_atls_taken_owner,                 /* another machine has taken it,
                                                  or this one */
    ngx_http_atls_taken_gone,                  /* it cannot be used any more */
    ngx_http_atls_taken_failed                 /* no answer */
} ngx_http_atls_taken_e;


typedef struct ngx_http_atls_taking_s  ngx_http_atls_taking_t;

typedef void (*ngx_http_atls_taking_pt)(ngx_http_atls_taking_t *taking);

struct ngx_http_atls_taking_s {
    ngx_http_atls_taking_pt      handler;
    void                        *data;

    ngx_http_atls_taken_e        taken;
    u_char                       number[NGX_HTTP_ATLS_TAG_LEN];    /* of the
                                                                      owner */
    ngx_http_atls_op_t          *op;           /* in progress */
};


/*
 * Takes a session from the store into the table.  NGX_AGAIN: the handler will
 * be called; NGX_ERROR: no connection.  The session is also taken if the answer
 * is late, or nobody waits for it any more: then the second function has to be
 * called.
 */

ngx_int_t ngx_http_atls_store_take(ngx_http_atls_main_conf_t *amcf, u_char *id,
    ngx_http_atls_taking_t *taking);
void ngx_http_atls_store_take_cancel(ngx_http_atls_taking_t *taking);


/* What has become of a session that was put out. */

typedef struct ngx_http_atls_putting_s  ngx_http_atls_putting_t;

typedef void (*ngx_http_atls_putting_pt)(ngx_http_atls_putting_t *putting);

struct ngx_http_atls_putting_s {
    ngx_http_atls_putting_pt     handler;
    void                        *data;
    ngx_uint_t                   done;         /* 1: it is in the store */
    ngx_http_atls_op_t          *op;           /* in progress */
};


/*
 * Puts an established session of the caller, which has no inner connection,
 * into the store; from now on, it must not be used.  When the store has it, it
 * is removed from the table.  If the store certainly does not have it, it is
 * put back into the table; if nobody knows, it ends.
 *
 * NGX_AGAIN: the handler of "putting", unless this is NULL, will be called
 * after an answer, or if it is late; NGX_ERROR: the session is in the table.
 */

ngx_int_t ngx_http_atls_store_put(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_session_t *session, ngx_http_atls_putting_t *putting);
void ngx_http_atls_store_put_cancel(ngx_http_atls_putting_t *putting);


#endif /* _NGX_HTTP_ATLS_STORE_H_INCLUDED_ */
