
/*
 * Identification of locations with "atls on", for sessions and other worker
 * processes.
 */


#ifndef _NGX_HTTP_ATLS_ENDPOINT_H_INCLUDED_
#define _NGX_HTTP_ATLS_ENDPOINT_H_INCLUDED_


#include "ngx_http_atls.h"


/* A location with "atls on", as identified by other workers. */

typedef struct {
    uint64_t                   id;             /* the same after a reload */
    uint64_t                   location;       /* the same in any server */
    uint64_t                   portable;       /* the same on all machines */
    ngx_http_core_srv_conf_t  *server;
    void                     **loc_conf;
} ngx_http_atls_endpoint_t;


/*
 * Sets conf->location, conf->endpoint, conf->server and conf->addrs, and adds
 * the location to the lists of its server and of all servers.
 */

ngx_int_t ngx_http_atls_endpoint_add(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf);

/* Finds the identical location with "atls on" in another server. */

ngx_http_atls_endpoint_t *ngx_http_atls_endpoint_find(
    ngx_http_core_srv_conf_t *server, uint64_t location);

/* Finds a location by its id in a configuration with the module. */

ngx_http_atls_endpoint_t *ngx_http_atls_endpoint_get(
    volatile ngx_cycle_t *cycle, uint64_t id);

/*
 * Finds a location by what is the same on all machines, whatever their
 * addresses: the location and the names of the server.
 */

ngx_http_atls_endpoint_t *ngx_http_atls_endpoint_portable(uint64_t portable);

/*
 * The endpoint of a session whose POST was received in a location, given the id
 * of the endpoint: the location itself, or another one that shares its sessions
 * with it, having the same name (atls_endpoint) and client verification.  NULL:
 * the session cannot be used in this location.
 */

ngx_http_atls_loc_conf_t *ngx_http_atls_endpoint_home(
    ngx_http_atls_loc_conf_t *conf, uint64_t id);

/* Logs which endpoints do not share sessions, in spite of their names. */

void ngx_http_atls_endpoint_warn(ngx_conf_t *cf);

/* Logs that sessions are lost by a reload, as their cookie was renamed. */

void ngx_http_atls_endpoint_init_module(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_ATLS_ENDPOINT_H_INCLUDED_ */
