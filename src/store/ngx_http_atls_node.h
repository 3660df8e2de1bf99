
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The machines that share the store: each of them renews a key with its name
 * and address, which expires when the machine is gone.
 */


#ifndef _NGX_HTTP_ATLS_NODE_H_INCLUDED_
#define _NGX_HTTP_ATLS_NODE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_redis.h"
#include "ngx_http_atls_store_conf.h"


typedef struct {
    u_char                       number[NGX_HTTP_ATLS_TAG_LEN];
    u_char                       name[NGX_HTTP_ATLS_STORE_NODE_LEN + 1];
    ngx_sockaddr_t               sockaddr;
    socklen_t                    socklen;
    ngx_uint_t                   leaving;      /* it is about to exit */
} ngx_http_atls_node_t;


typedef struct ngx_http_atls_naming_s  ngx_http_atls_naming_t;

typedef void (*ngx_http_atls_naming_pt)(ngx_http_atls_naming_t *naming);

struct ngx_http_atls_naming_s {
    ngx_http_atls_naming_pt      handler;
    void                        *data;

    ngx_int_t                    rc;           /* NGX_OK; NGX_DECLINED: there is
                                                  none; NGX_ERROR: no answer */
    ngx_http_atls_node_t         node;
    ngx_uint_t                   doubtful;     /* the store does not know it */
    ngx_http_atls_main_conf_t   *conf;
    ngx_http_atls_op_t          *op;           /* in progress */
};


/* Announces this machine, now and every second; or that it is leaving. */

ngx_int_t ngx_http_atls_node_init_worker(ngx_http_atls_main_conf_t *amcf,
    ngx_cycle_t *cycle);
void ngx_http_atls_node_leave(ngx_http_atls_main_conf_t *amcf);
void ngx_http_atls_node_gone(ngx_http_atls_main_conf_t *amcf);

/*
 * Whether processes of another binary may still have sessions of this machine,
 * since it was upgraded just now.
 */

ngx_uint_t ngx_http_atls_node_upgraded(void);

/*
 * Finds a machine by its number.  NGX_AGAIN: the handler will be called, unless
 * the second function is called before; otherwise as naming->rc.
 *
 * If the store does not know a machine that this process has found before, the
 * store may have been restarted: the machine is found, but doubtful.  If it
 * cannot be reached either, it is to be forgotten.
 */

ngx_int_t ngx_http_atls_node_find(ngx_http_atls_main_conf_t *amcf,
    u_char *number, ngx_http_atls_naming_t *naming);
void ngx_http_atls_node_cancel(ngx_http_atls_naming_t *naming);
void ngx_http_atls_node_forget(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_node_t *node);


#endif /* _NGX_HTTP_ATLS_NODE_H_INCLUDED_ */
