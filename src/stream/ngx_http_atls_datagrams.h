
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * DTLS records of one POST: those that are not authentic, or not new, are
 * discarded.  The session is not taken, see ngx_http_atls_shared.h.
 */


#ifndef _NGX_HTTP_ATLS_DATAGRAMS_H_INCLUDED_
#define _NGX_HTTP_ATLS_DATAGRAMS_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_datagram.h"
#include "ngx_http_atls_body.h"


struct ngx_http_atls_datagrams_s {
    ngx_shm_zone_t             *zone;
    u_char                     *id;            /* of the session */
    uint32_t                    label;
    uint32_t                    requests;      /* before the POST */

    ngx_uint_t                  user;          /* the POST is counted */
    ngx_uint_t                  valid;         /* records */
    ngx_uint_t                  handshake;     /* records of the handshake */
    ngx_uint_t                  discarded;     /* others */
    trl_error_e                 reason;        /* for the last one of these */

    unsigned                    garbage:1;     /* no records follow */
    unsigned                    forged:1;      /* too many are not authentic */
    unsigned                    ends:1;        /* the session ends with the
                                                  POST */
};


/*
 * Opens records of the body until there are data.  NGX_OK: *len bytes at *data;
 * NGX_AGAIN, NGX_DONE: see ngx_http_atls_body.h; NGX_ABORT: the session ends,
 * see d->forged, and channel->peer_alert or close_notify in its state; or a
 * status or a problem.
 */

ngx_int_t ngx_http_atls_datagrams_open(ngx_http_atls_datagrams_t *d,
    ngx_http_atls_body_t *body, trl_channel_t *channel, u_char **data,
    size_t *len);

/*
 * Reserves the numbers for the next record of the channel; "last": for the
 * final alert.  Returns are those of ngx_http_atls_shared_reserve().
 */

ngx_int_t ngx_http_atls_datagrams_reserve(ngx_http_atls_datagrams_t *d,
    trl_channel_t *channel, ngx_uint_t last);

/* Gives new numbers to the records of a flight that is sent again. */

void ngx_http_atls_datagrams_number(ngx_http_atls_datagrams_t *d,
    ngx_str_t *flight);

/* The maximum plaintext size of a record that fits into a datagram. */

size_t ngx_http_atls_datagrams_max(const trl_channel_t *channel);


#endif /* _NGX_HTTP_ATLS_DATAGRAMS_H_INCLUDED_ */
