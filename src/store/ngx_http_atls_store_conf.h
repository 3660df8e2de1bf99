
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The directives atls_node, atls_store and atls_store_key. */


#ifndef _NGX_HTTP_ATLS_STORE_CONF_H_INCLUDED_
#define _NGX_HTTP_ATLS_STORE_CONF_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_table.h"


#define NGX_HTTP_ATLS_STORE_KEY_LEN   32
#define NGX_HTTP_ATLS_STORE_NAME_LEN  4        /* of a key, in sealed data */
#define NGX_HTTP_ATLS_STORE_NODE_LEN  64       /* of a machine, at most */


typedef struct ngx_http_atls_nodes_s  ngx_http_atls_nodes_t;

/* Called before a session is in the table that may have to be put out. */

typedef void (*ngx_http_atls_store_again_pt)(void);


/* A key of atls_store_key, and what is derived from it. */

typedef struct {
    u_char                    name[NGX_HTTP_ATLS_STORE_NAME_LEN];
    u_char                    seal[NGX_HTTP_ATLS_STORE_KEY_LEN];
    u_char                    tag[NGX_HTTP_ATLS_KEY_LEN];
} ngx_http_atls_store_key_t;


struct ngx_http_atls_store_s {
    ngx_str_t                 url;             /* empty: no store */
    ngx_str_t                 host;            /* an address, or a path */
    in_port_t                 port;            /* 0: a unix socket */
    ngx_uint_t                database;
    ngx_str_t                 user;
    ngx_str_t                 password;        /* zero-terminated */
    ngx_str_t                 prefix;
    ngx_msec_t                timeout;
    ngx_uint_t                each;            /* 1: each, 0: lazy */

    ngx_array_t               keys;            /* the first one seals */

    ngx_str_t                 node;            /* name of this machine */
    ngx_str_t                 address;         /* of atls_node, as text */
    u_char                    number[NGX_HTTP_ATLS_TAG_LEN];

    ngx_http_atls_store_again_pt  again;
    ngx_http_atls_nodes_t    *nodes;           /* the ones that this process
                                                  has found */

    ngx_http_core_srv_conf_t *peer;            /* server of atls_peer */
    ngx_ssl_t                 ssl;             /* to other machines */
};


/* Handlers of the directives. */

char *ngx_http_atls_store_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_atls_store_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_atls_store_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Checks that all of them are there, or none. */

ngx_int_t ngx_http_atls_store_conf_check(ngx_conf_t *cf);

/* Whether a machine may have this name; its number: a hash of the name. */

ngx_uint_t ngx_http_atls_store_name_valid(ngx_str_t *name);
ngx_int_t ngx_http_atls_store_number(ngx_str_t *name, u_char *number);


#endif /* _NGX_HTTP_ATLS_STORE_CONF_H_INCLUDED_ */
