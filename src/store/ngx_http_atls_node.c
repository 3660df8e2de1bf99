
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

/*
 * How often another address is found, before this is reported: after a reload,
 * it may be the old one.
 */

#define NGX_HTTP_ATLS_NODE_OTHERS  5

/* How long the processes of another binary may take to put sessions out. */

#define NGX_HTTP_ATLS_NODE_UPGRADE  5000


#define NGX_HTTP_ATLS_NODES  64


struct ngx_http_atls_nodes_s {
    ngx_uint_t             n;
    ngx_http_atls_node_t   nodes[NGX_HTTP_ATLS_NODES];
};


static void ngx_http_atls_node_timer(ngx_event_t *ev);
static void ngx_http_atls_node_announce(ngx_http_atls_main_conf_t *amcf,
    ngx_uint_t leaving);
static ngx_http_atls_op_t *ngx_http_atls_node_op(
    ngx_http_atls_main_conf_t *amcf, u_char *number, const char *command,
    ngx_http_atls_op_pt handler, void *data);
static void ngx_http_atls_node_announced(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply);
static ngx_uint_t ngx_http_atls_node_is(ngx_http_atls_store_t *store,
    ngx_str_t *value);
static void ngx_http_atls_node_removed(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply);
static void ngx_http_atls_node_found(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply);
static ngx_int_t ngx_http_atls_node_parse(ngx_http_atls_node_t *node,
    ngx_str_t *value, ngx_pool_t *pool);
static ngx_http_atls_node_t *ngx_http_atls_node_known(
    ngx_http_atls_main_conf_t *amcf, u_char *number);
static void ngx_http_atls_node_remember(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_node_t *node);


static const char  ngx_http_atls_node_announce_script[] =
    "local v = redis.call('GET', KEYS[1])\n"
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
    "return v\n";


ngx_int_t
ngx_http_atls_node_init_worker(ngx_http_atls_main_conf_t *amcf,
    ngx_cycle_t *cycle)
{
    ngx_event_t       *ev;
    ngx_connection_t  *c;

    amcf->store->nodes = ngx_pcalloc(cycle->pool,
                                     sizeof(ngx_http_atls_nodes_t));
    if (amcf->store->nodes == NULL) {
        return NGX_ERROR;
    }

    c = &ngx_http_atls_process.node_connection;

    c->fd = (ngx_socket_t) -1;
    c->data = amcf;

    ev = &ngx_http_atls_process.node_timer;

    ev->handler = ngx_http_atls_node_timer;
    ev->data = c;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_http_atls_process.node_started = ngx_current_msec;

    ngx_http_atls_node_announce(amcf, 0);

    ngx_add_timer(ev, NGX_HTTP_ATLS_NODE_RENEW);

    return NGX_OK;
}


/* The new binary, or the old one when the upgrade is reverted. */

ngx_uint_t
ngx_http_atls_node_upgraded(void)
{
    return (ngx_inherited || ngx_new_binary)
           && ngx_current_msec - ngx_http_atls_process.node_started
              < NGX_HTTP_ATLS_NODE_UPGRADE;
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


/* Others reach this machine by the address; returns the previous value. */

static void
ngx_http_atls_node_announce(ngx_http_atls_main_conf_t *amcf,
    ngx_uint_t leaving)
{
    u_char                 *p;
    ngx_http_atls_op_t     *op;
    ngx_http_atls_store_t  *store;

    store = amcf->store;

    op = ngx_http_atls_node_op(amcf, store->number, "1",
                               ngx_http_atls_node_announced, amcf);
    if (op == NULL) {
        return;
    }

    op->script = ngx_http_atls_node_announce_script;
    op->urgent = 1;

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
    ngx_http_atls_redis_arg(op, (u_char *) NGX_HTTP_ATLS_NODE_EXPIRE,
                            sizeof(NGX_HTTP_ATLS_NODE_EXPIRE) - 1);

    (void) ngx_http_atls_redis_send(op);
}


/* first: the command, or the number of keys of a script. */

static ngx_http_atls_op_t *
ngx_http_atls_node_op(ngx_http_atls_main_conf_t *amcf, u_char *number,
    const char *first, ngx_http_atls_op_pt handler, void *data)
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

    ngx_http_atls_redis_arg(op, (u_char *) first, ngx_strlen(first));
    ngx_http_atls_redis_arg(op, name, p - name);

    return op;
}


/*
 * The number of a machine is a hash of its name, so two names may have the same
 * one.  Then sessions are looked for on the wrong machine.
 */

static void
ngx_http_atls_node_announced(ngx_http_atls_op_t *op,
    ngx_http_atls_reply_t *reply)
{
    ngx_str_t                  *value, address;
    ngx_http_atls_node_t        node;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = op->data;
    value = &reply->values[0];

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls node announced: %d", (int) reply->status);

    if (reply->nvalues == 0 || ngx_http_atls_node_is(amcf->store, value)) {
        return;
    }

    ngx_memcpy(node.number, amcf->store->number, NGX_HTTP_ATLS_TAG_LEN);
    address = *value;

    if (ngx_http_atls_node_parse(&node, &address, op->pool) != NGX_OK
        || ++ngx_http_atls_process.node_others != NGX_HTTP_ATLS_NODE_OTHERS)
    {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "atls node \"%V\" has the same number as node \"%s\" at %V, "
                  "use another name in \"atls_node\"",
                  &amcf->store->node, node.name, &address);
}


static ngx_uint_t
ngx_http_atls_node_is(ngx_http_atls_store_t *store, ngx_str_t *value)
{
    u_char  *p;
    size_t   len;

    p = value->data;
    len = store->node.len + 1 + store->address.len;

    return value->len >= len
           && ngx_strncmp(p, store->node.data, store->node.len) == 0
           && p[store->node.len] == ' '
           && ngx_strncmp(p + store->node.len + 1, store->address.data,
                          store->address.len)
              == 0
           && (value->len == len || p[len] == ' ');
}


/* All of its sessions are in the store: others need not wait for it. */

void
ngx_http_atls_node_gone(ngx_http_atls_main_conf_t *amcf)
{
    ngx_http_atls_op_t  *op;

    op = ngx_http_atls_node_op(amcf, amcf->store->number, "DEL",
                               ngx_http_atls_node_removed, NULL);
    if (op) {
        op->urgent = 1;
        (void) ngx_http_atls_redis_send(op);
    }
}


static void
ngx_http_atls_node_removed(ngx_http_atls_op_t *op, ngx_http_atls_reply_t *reply)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls node removed: %d", (int) reply->status);
}


ngx_int_t
ngx_http_atls_node_find(ngx_http_atls_main_conf_t *amcf, u_char *number,
    ngx_http_atls_naming_t *naming)
{
    ngx_http_atls_op_t  *op;

    naming->conf = amcf;
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
    ngx_http_atls_node_t    *node;
    ngx_http_atls_naming_t  *naming;

    naming = op->data;

    if (naming == NULL) {
        return;
    }

    op->data = NULL;
    naming->op = NULL;
    naming->doubtful = 0;

    if (reply->status != ngx_http_atls_reply_ok) {
        naming->rc = NGX_ERROR;

    } else if (reply->nvalues == 0) {
        node = ngx_http_atls_node_known(naming->conf, naming->node.number);

        if (node) {
            naming->node = *node;
            naming->doubtful = 1;
        }

        naming->rc = node ? NGX_OK : NGX_DECLINED;

    } else {
        naming->rc = ngx_http_atls_node_parse(&naming->node, reply->values,
                                              op->pool);

        if (naming->rc == NGX_OK) {
            ngx_http_atls_node_remember(naming->conf, &naming->node);
        }
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls node found: %i, doubtful:%ui", naming->rc,
                   naming->doubtful);

    naming->handler(naming);
}


/*
 * Name and address, and "l" if it is leaving.  The number is checked, so that
 * only the machine with this name can be meant.  Sets the value to the address.
 */

static ngx_int_t
ngx_http_atls_node_parse(ngx_http_atls_node_t *node, ngx_str_t *value,
    ngx_pool_t *pool)
{
    u_char      *p, *last, number[NGX_HTTP_ATLS_TAG_LEN];
    ngx_str_t    name;
    ngx_addr_t   addr;

    last = value->data + value->len;
    p = ngx_strlchr(value->data, last, ' ');

    if (p == NULL) {
        return NGX_ERROR;
    }

    name.data = value->data;
    name.len = p - value->data;

    if (!ngx_http_atls_store_name_valid(&name)
        || ngx_http_atls_store_number(&name, number) != NGX_OK
        || ngx_memcmp(number, node->number, NGX_HTTP_ATLS_TAG_LEN) != 0)
    {
        return NGX_ERROR;
    }

    ngx_cpystrn(node->name, name.data, name.len + 1);

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


static ngx_http_atls_node_t *
ngx_http_atls_node_known(ngx_http_atls_main_conf_t *amcf, u_char *number)
{
    ngx_uint_t              i;
    ngx_http_atls_nodes_t  *known;

    known = amcf->store->nodes;

    for (i = 0; i < known->n; i++) {
        if (ngx_memcmp(known->nodes[i].number, number, NGX_HTTP_ATLS_TAG_LEN)
            == 0)
        {
            return &known->nodes[i];
        }
    }

    return NULL;
}


static void
ngx_http_atls_node_remember(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_node_t *node)
{
    ngx_http_atls_node_t   *dst;
    ngx_http_atls_nodes_t  *known;

    if (node->leaving) {
        ngx_http_atls_node_forget(amcf, node);
        return;
    }

    known = amcf->store->nodes;
    dst = ngx_http_atls_node_known(amcf, node->number);

    if (dst == NULL && known->n < NGX_HTTP_ATLS_NODES) {
        dst = &known->nodes[known->n++];
    }

    if (dst) {
        *dst = *node;
    }
}


void
ngx_http_atls_node_forget(ngx_http_atls_main_conf_t *amcf,
    ngx_http_atls_node_t *node)
{
    ngx_http_atls_node_t   *known;
    ngx_http_atls_nodes_t  *nodes;

    nodes = amcf->store->nodes;
    known = ngx_http_atls_node_known(amcf, node->number);

    if (known) {
        *known = nodes->nodes[--nodes->n];
    }
}


void
ngx_http_atls_node_cancel(ngx_http_atls_naming_t *naming)
{
    if (naming->op) {
        naming->op->data = NULL;
        naming->op = NULL;
    }
}
