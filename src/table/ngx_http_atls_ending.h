
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* Why sessions end, and a line in the log for each of them. */


#ifndef _NGX_HTTP_ATLS_ENDING_H_INCLUDED_
#define _NGX_HTTP_ATLS_ENDING_H_INCLUDED_


#include "ngx_http_atls.h"


typedef enum {
    ngx_http_atls_ending_none = 0,             /* not known yet */
    ngx_http_atls_ending_close_notify,         /* sent by the client */
    ngx_http_atls_ending_alert,                /* fatal, sent by the client */
    ngx_http_atls_ending_refused,              /* a record was refused */
    ngx_http_atls_ending_key_limit,            /* of the AEAD, TLS 1.2 */
    ngx_http_atls_ending_idle,                 /* atls_session_timeout */
    ngx_http_atls_ending_lifetime,             /* atls_session_lifetime */
    ngx_http_atls_ending_policy,               /* the client must be verified
                                                  again */
    ngx_http_atls_ending_inner,                /* the inner connection was
                                                  closed by its service */
    ngx_http_atls_ending_cut,                  /* a response is incomplete */
    ngx_http_atls_ending_post,                 /* a POST is incomplete */
    ngx_http_atls_ending_evicted,
    ngx_http_atls_ending_full,                 /* no room in the zone */
    ngx_http_atls_ending_lost,                 /* with its worker */
    ngx_http_atls_ending_handshake_failed,
    ngx_http_atls_ending_handshake_timeout,
    ngx_http_atls_ending_shutdown,             /* of the worker, in a
                                                  handshake */
    ngx_http_atls_ending_moved,                /* put into the store */
    ngx_http_atls_ending_store,                /* perhaps in the store */

    ngx_http_atls_endings
} ngx_http_atls_ending_e;


const char *ngx_http_atls_ending_name(ngx_http_atls_ending_e reason);

/* Allocates memory for the lines of this process. */

ngx_int_t ngx_http_atls_ending_init_worker(ngx_cycle_t *cycle);

/* Remembers a session that is about to be removed; the table is locked. */

void ngx_http_atls_ending_add(ngx_http_atls_session_t *session,
    ngx_http_atls_ending_e reason);

/*
 * Logs the remembered sessions, to the log or, if it is NULL, to those of their
 * locations.  The table must not be locked.
 */

void ngx_http_atls_ending_log(ngx_log_t *log);

/* Called once a second: logs the number of sessions that were not logged. */

void ngx_http_atls_ending_tick(ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_ENDING_H_INCLUDED_ */
