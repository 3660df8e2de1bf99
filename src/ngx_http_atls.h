
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Common to all files of the module: nginx and system headers, and forward
 * declarations of the module's types.  Other headers are included by the files
 * that use them.
 */


#ifndef _NGX_HTTP_ATLS_H_INCLUDED_
#define _NGX_HTTP_ATLS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>


typedef struct ngx_http_atls_main_conf_s    ngx_http_atls_main_conf_t;
typedef struct ngx_http_atls_loc_conf_s     ngx_http_atls_loc_conf_t;
typedef struct ngx_http_atls_post_s         ngx_http_atls_post_t;
typedef struct ngx_http_atls_inner_s        ngx_http_atls_inner_t;
typedef struct ngx_http_atls_session_s      ngx_http_atls_session_t;
typedef struct ngx_http_atls_zone_s         ngx_http_atls_zone_t;
typedef struct ngx_http_atls_shard_s        ngx_http_atls_shard_t;
typedef struct ngx_http_atls_response_s     ngx_http_atls_response_t;
typedef struct ngx_http_atls_handshake_s    ngx_http_atls_handshake_t;
typedef struct ngx_http_atls_raw_s          ngx_http_atls_raw_t;
typedef struct ngx_http_atls_coding_s       ngx_http_atls_coding_t;
typedef struct ngx_http_atls_datagrams_s    ngx_http_atls_datagrams_t;
typedef struct ngx_http_atls_relay_s        ngx_http_atls_relay_t;
typedef struct ngx_http_atls_psks_s         ngx_http_atls_psks_t;
typedef struct ngx_http_atls_tickets_s      ngx_http_atls_tickets_t;
typedef struct ngx_http_atls_ticket_keys_s  ngx_http_atls_ticket_keys_t;
typedef struct ngx_http_atls_association_keys_s
                                            ngx_http_atls_association_keys_t;
typedef struct ngx_http_atls_cors_s         ngx_http_atls_cors_t;
typedef struct ngx_http_atls_counters_s     ngx_http_atls_counters_t;
typedef struct ngx_http_atls_endings_s      ngx_http_atls_endings_t;
typedef struct ngx_http_atls_store_s        ngx_http_atls_store_t;
typedef struct ngx_http_atls_redis_s        ngx_http_atls_redis_t;
typedef struct ngx_http_atls_drain_s        ngx_http_atls_drain_t;
typedef struct ngx_http_atls_elsewhere_s    ngx_http_atls_elsewhere_t;
typedef struct ngx_http_atls_link_pool_s    ngx_http_atls_link_pool_t;


extern ngx_module_t  ngx_http_atls_module;


#endif /* _NGX_HTTP_ATLS_H_INCLUDED_ */
