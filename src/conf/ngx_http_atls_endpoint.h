
/*
 * What a location with "atls on" is known by, to sessions and to other worker
 * processes.
 */


#ifndef _NGX_HTTP_ATLS_ENDPOINT_H_INCLUDED_
#define _NGX_HTTP_ATLS_ENDPOINT_H_INCLUDED_


#include "ngx_http_atls.h"


/* A location with "atls on", as it is known to other workers. */

typedef struct {
    uint64_t                   id;             /* the same after a reload */
    uint64_t                   location;       /* the same in any server */
    ngx_http_core_srv_conf_t  *server;
    void                     **loc_conf;
} ngx_http_atls_endpoint_t;


/*
 * Makes conf->location and conf->endpoint, and puts the location among those
 * of its server and of all servers.
 */

ngx_int_t ngx_http_atls_endpoint_add(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);

/* The location with "atls on" that is the same one in another server. */

ngx_http_atls_endpoint_t *ngx_http_atls_endpoint_find(
    ngx_http_core_srv_conf_t *server, uint64_t location);

/* The location of an id in a configuration that has the module. */

ngx_http_atls_endpoint_t *ngx_http_atls_endpoint_get(
    volatile ngx_cycle_t *cycle, uint64_t id);

/* Logs that a reload has lost sessions, as their cookie has another name. */

void ngx_http_atls_endpoint_init_module(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_ATLS_ENDPOINT_H_INCLUDED_ */
