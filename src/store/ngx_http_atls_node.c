
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_redis.h"
#include "ngx_http_atls_node.h"
#include "ngx_http_atls_store_conf.h"


/* A key: how often it is renewed, and when it expires; in milliseconds. */

#define NGX_HTTP_ATLS_NODE_RENEW   1000
#define NGX_HTTP_ATLS_NODE_EXPIRE  "5000"


static void ngx_http_atls_node_timer(ngx_event_t *ev);
static void ngx_http_atls_node_announce(ngx_http_atls_main_conf_t *amcf,
    ngx_uint_t leaving);
static ngx_http_atls_op_t *ngx_http_atls_node_op(
    ngx_http_atls_main_conf_t *amcf, u_char *number, const char *command,
    ngx_http_atls_op_pt handler, void *data);
static void ngx_http_atls_node_announced(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply);
static void ngx_http_atls_node_found(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply);
static ngx_int_t ngx_http_atls_node_parse(ngx_http_atls_node_t *node,
    ngx_str_t *value, ngx_pool_t *pool);


void
ngx_http_atls_node_init_worker(ngx_http_atls_main_conf_t *amcf, ngx_log_t *log)
{
    ngx_event_t       *ev;
    ngx_connection_t  *c;

    c = &ngx_http_atls_process.node_connection;

    c->fd = (ngx_socket_t) -1;
    c->data = amcf;

    ev = &ngx_http_atls_process.node_timer;

    ev->handler = ngx_http_atls_node_timer;
    ev->data = c;
    ev->log = log;
    ev->cancelable = 1;

    ngx_http_atls_node_announce(amcf, 0);

    ngx_add_timer(ev, NGX_HTTP_ATLS_NODE_RENEW);
}


static void
ngx_http_atls_node_timer(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    if (ngx_exiting) {

        /* the address belongs to the next processes, if there are any */

        return;
    }

    ngx_http_atls_node_announce(c->data, 0);

    ngx_add_timer(ev, NGX_HTTP_ATLS_NODE_RENEW);
}


void
ngx_http_atls_node_leave(ngx_http_atls_main_conf_t *amcf)
{
    ngx_http_atls_node_announce(amcf, 1);
}


/* Others reach this machine by the address. */

static void
ngx_http_atls_node_announce(ngx_http_atls_main_conf_t *amcf,
    ngx_uint_t leaving)
{
    u_char                 *p;
    ngx_http_atls_op_t     *op;
    ngx_http_atls_store_t  *store;

    store = amcf->store;

    op = ngx_http_atls_node_op(amcf, store->number, "SET",
                               ngx_http_atls_node_announced, amcf);
    if (op == NULL) {
        return;
    }

    p = ngx_pnalloc(op->pool, store->node.len + store->address.len
                              + sizeof("  l"));
    if (p == NULL) {
        ngx_http_atls_redis_free(op);
        return;
    }

    ngx_http_atls_redis_arg(op, p,
                            ngx_sprintf(p, "%V %V%s", &store->node,
                                        &store->address, leaving ? " l" : "")
                            - p);
    ngx_http_atls_redis_arg(op, (u_char *) "PX", 2);
    ngx_http_atls_redis_arg(op, (u_char *) NGX_HTTP_ATLS_NODE_EXPIRE,
                            sizeof(NGX_HTTP_ATLS_NODE_EXPIRE) - 1);

    (void) ngx_http_atls_redis_send(op);
}


static ngx_http_atls_op_t *
ngx_http_atls_node_op(ngx_http_atls_main_conf_t *amcf, u_char *number,
    const char *command, ngx_http_atls_op_pt handler, void *data)
{
    u_char              *p, *name;
    ngx_str_t           *prefix;
    ngx_http_atls_op_t  *op;

    prefix = &amcf->store->prefix;

    op = ngx_http_atls_redis_op(handler, data);
    if (op == NULL) {
        return NULL;
    }

    name = ngx_pnalloc(op->pool, prefix->len + sizeof("node:") - 1
                                 + 2 * NGX_HTTP_ATLS_TAG_LEN);
    if (name == NULL) {
        ngx_http_atls_redis_free(op);
        return NULL;
    }

    p = ngx_sprintf(name, "%Vnode:", prefix);
    p = ngx_hex_dump(p, number, NGX_HTTP_ATLS_TAG_LEN);

    ngx_http_atls_redis_arg(op, (u_char *) command, ngx_strlen(command));
    ngx_http_atls_redis_arg(op, name, p - name);

    return op;
}


static void
ngx_http_atls_node_announced(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls node announced: %d", (int) reply->status);
}


/* All of its sessions are in the store: others need not wait for it. */

void
ngx_http_atls_node_gone(ngx_http_atls_main_conf_t *amcf)
{
    ngx_http_atls_op_t  *op;

    op = ngx_http_atls_node_op(amcf, amcf->store->number, "DEL",
                               ngx_http_atls_node_announced, amcf);
    if (op) {
        (void) ngx_http_atls_redis_send(op);
    }
}


ngx_int_t
ngx_http_atls_node_find(ngx_http_atls_main_conf_t *amcf, u_char *number,
    ngx_http_atls_naming_t *naming)
{
    ngx_http_atls_op_t  *op;

    ngx_memcpy(naming->node.number, number, NGX_HTTP_ATLS_TAG_LEN);

    op = ngx_http_atls_node_op(amcf, number, "GET", ngx_http_atls_node_found,
                               naming);

    if (op == NULL || ngx_http_atls_redis_send(op) != NGX_OK) {
        return NGX_ERROR;
    }

    naming->op = op;

    return NGX_AGAIN;
}


static void
ngx_http_atls_node_found(ngx_http_atls_op_t *op, ngx_http_atls_reply_t *reply)
{
    ngx_http_atls_naming_t  *naming;

    naming = op->data;

    if (naming == NULL) {
        return;
    }

    op->data = NULL;
    naming->op = NULL;

    if (reply->status != ngx_http_atls_reply_ok) {
        naming->rc = NGX_ERROR;

    } else if (reply->nvalues == 0) {
        naming->rc = NGX_DECLINED;

    } else {
        naming->rc = ngx_http_atls_node_parse(&naming->node, reply->values,
                                              op->pool);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls node found: %i, \"%s\", leaving:%ui", naming->rc,
                   naming->node.name, naming->node.leaving);

    naming->handler(naming);
}


/* Name and address, and "l" if it is leaving. */

static ngx_int_t
ngx_http_atls_node_parse(ngx_http_atls_node_t *node, ngx_str_t *value,
    ngx_pool_t *pool)
{
    u_char      *p, *last;
    ngx_addr_t   addr;

    last = value->data + value->len;
    p = ngx_strlchr(value->data, last, ' ');

    if (p == NULL || p - value->data > NGX_HTTP_ATLS_NODE_NAME) {
        return NGX_ERROR;
    }

    ngx_cpystrn(node->name, value->data, p - value->data + 1);

    value->data = p + 1;
    p = ngx_strlchr(value->data, last, ' ');

    node->leaving = (p != NULL);

    value->len = (p ? p : last) - value->data;

    if (ngx_parse_addr_port(pool, &addr, value->data, value->len) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(&node->sockaddr, addr.sockaddr, addr.socklen);
    node->socklen = addr.socklen;

    return NGX_OK;
}


void
ngx_http_atls_node_cancel(ngx_http_atls_naming_t *naming)
{
    if (naming->op) {
        naming->op->data = NULL;
        naming->op = NULL;
    }
}
