
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The structure of a handshake, only for the two files of its functions, which
 * do not call each other: ngx_http_atls_handshake.c creates and frees it, with
 * all that belongs to it; ngx_http_atls_handshake_io.c passes bytes.
 */


#ifndef _NGX_HTTP_ATLS_HANDSHAKE_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_ATLS_HANDSHAKE_PRIVATE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_flight.h"
#include "trl_state.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_peer.h"
#include "ngx_http_atls_records.h"


struct ngx_http_atls_handshake_s {
    ngx_http_atls_peer_t        peer;
    trl_watch_t                 watch;
    uint32_t                    label;         /* session in the debug log */
    ngx_http_atls_result_e      result;        /* if it is freed now */

    unsigned                    dtls:1;

    /* ngx_http_atls_handshake.c */

    ngx_event_t                 timer;
    ngx_queue_t                 queue;         /* handshakes of the worker */

    u_char                      id[NGX_HTTP_ATLS_ID_LEN];

    ngx_http_atls_post_t       *post;          /* current POST, or NULL */
    ngx_http_atls_expire_pt     expire;
    ngx_msec_t                  start;

    unsigned                    serving:1;     /* early data in progress: not
                                                  counted as handshake */

    /* ngx_http_atls_handshake_io.c */

    ngx_http_atls_records_t     records;       /* of the client's input */

    ngx_str_t                   early;         /* early data read */
    u_char                     *gathered;      /* response to it, gathered */

    unsigned                    answered:1;    /* output is TLS records */
    unsigned                    reading_early:1;  /* early data may follow */

    /* the same file, with DTLS */

    ngx_str_t                   flight;        /* the last one sent */
    uint32_t                    next;          /* number of the next record that
                                                  is not protected */
    size_t                      numbered;      /* bytes of the output */
    trl_flight_t                received;      /* records of the client */
    unsigned                    again:1;       /* the flight is needed again */
};


#endif /* _NGX_HTTP_ATLS_HANDSHAKE_PRIVATE_H_INCLUDED_ */
