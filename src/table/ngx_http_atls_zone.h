
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The shared memory zone (atls_zone): the table of sessions, and ticket data of
 * all workers.
 */


#ifndef _NGX_HTTP_ATLS_ZONE_H_INCLUDED_
#define _NGX_HTTP_ATLS_ZONE_H_INCLUDED_


#include "ngx_http_atls.h"


/* the size used by OpenSSL */

#define NGX_HTTP_ATLS_TICKET_NAME_LEN  16


typedef struct {
    u_char                       name[NGX_HTTP_ATLS_TICKET_NAME_LEN];
    u_char                       aes_key[32];
    u_char                       hmac_key[32];
    time_t                       expire;        /* of its last ticket, by
                                                   ngx_http_atls_clock() */
} ngx_http_atls_ticket_key_t;


struct ngx_http_atls_ticket_keys_s {
    ngx_http_atls_ticket_key_t   current;
    ngx_http_atls_ticket_key_t   previous;
    ngx_atomic_t                 generation;    /* 0: no keys yet */
};


/* Ticket keys, and the tickets used for early data. */

struct ngx_http_atls_tickets_s {
    ngx_http_atls_ticket_keys_t  keys;

    uint64_t                     zone;          /* random id of the zone */
    uint64_t                     issued;        /* last number assigned */
    uint64_t                     window;        /* size of used, in bits */
    u_char                       used[1];
};


/* The handler of the "atls_zone" directive, and the default zone. */

char *ngx_http_atls_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_atls_zone_default(ngx_conf_t *cf);

/* Adds a zone to a configuration.  NULL on errors. */

ngx_shm_zone_t *ngx_http_atls_zone_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size);

/*
 * Called when a reload can no longer fail: logs that sessions are lost, as the
 * zone was resized or renamed.
 */

void ngx_http_atls_zone_init_module(ngx_shm_zone_t *zone);

ngx_http_atls_tickets_t *ngx_http_atls_zone_tickets(ngx_shm_zone_t *zone);


#endif /* _NGX_HTTP_ATLS_ZONE_H_INCLUDED_ */
