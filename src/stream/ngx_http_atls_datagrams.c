
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_datagram.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_shared.h"
#include "ngx_http_atls_dtls.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_datagrams.h"
#include "ngx_http_atls_problem.h"


static ngx_int_t ngx_http_atls_datagrams_record(ngx_http_atls_datagrams_t *d,
    trl_channel_t *channel, u_char *record, size_t size, u_char **data,
    size_t *len);
static ngx_int_t ngx_http_atls_datagrams_opened(ngx_http_atls_datagrams_t *d,
    trl_channel_t *channel, trl_datagram_t *datagram);
static ngx_int_t ngx_http_atls_datagrams_discard(ngx_http_atls_datagrams_t *d,
    trl_error_e reason);


ngx_int_t
ngx_http_atls_datagrams_open(ngx_http_atls_datagrams_t *d,
    ngx_http_atls_body_t *body, trl_channel_t *channel, u_char **data,
    size_t *len)
{
    u_char     *record;
    size_t      size;
    ngx_int_t   rc;

    *len = 0;

    do {
        if (d->garbage) {
            return ngx_http_atls_body_discard(body);
        }

        rc = ngx_http_atls_body_record(body, NULL, &record, &size);

        if (rc == NGX_ERROR) {
            d->garbage = 1;
            rc = ngx_http_atls_datagrams_discard(d, TRL_E_TYPE);
            continue;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_atls_datagrams_record(d, channel, record, size, data,
                                            len);

        ngx_log_debug5(NGX_LOG_DEBUG_HTTP, body->request->connection->log, 0,
                       "atls %08xD datagram in: %ui, %uz, rc:%i, data:%uz",
                       d->label, (ngx_uint_t) record[0], size, rc, *len);

    } while (rc == NGX_OK && *len == 0);

    return rc;
}


/* NGX_OK: it was processed, or discarded. */

static ngx_int_t
ngx_http_atls_datagrams_record(ngx_http_atls_datagrams_t *d,
    trl_channel_t *channel, u_char *record, size_t size, u_char **data,
    size_t *len)
{
    ngx_int_t       rc;
    trl_datagram_t  datagram;

    if (record[0] == TRL_HANDSHAKE) {
        d->handshake++;
    }

    if (trl_datagram_open(channel, record, size, &datagram) != TRL_OK) {

        if (channel->reason == TRL_E_BAD_MAC
            && ngx_http_atls_shared_forged(d->zone, d->id) != NGX_OK)
        {
            d->forged = 1;
            return NGX_ABORT;
        }

        return ngx_http_atls_datagrams_discard(d, channel->reason);
    }

    rc = ngx_http_atls_shared_mark(d->zone, d->id, datagram.number, &d->user);

    if (rc == NGX_DECLINED) {
        return ngx_http_atls_datagrams_discard(d, TRL_E_REPEATED);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_ATLS_SESSION_UNKNOWN;
    }

    rc = ngx_http_atls_datagrams_opened(d, channel, &datagram);

    if (rc == NGX_OK) {
        *data = datagram.data;
        *len = datagram.len;
    }

    return rc;
}


static ngx_int_t
ngx_http_atls_datagrams_opened(ngx_http_atls_datagrams_t *d,
    trl_channel_t *channel, trl_datagram_t *datagram)
{
    switch (trl_datagram_read(channel, datagram)) {

    case TRL_OK:
        d->valid++;
        return NGX_OK;

    case TRL_FOREIGN:
        datagram->len = 0;
        return ngx_http_atls_datagrams_discard(d, channel->reason);

    default: /* TRL_CLOSED, TRL_ERROR */
        d->valid++;
        return NGX_ABORT;
    }
}


static ngx_int_t
ngx_http_atls_datagrams_discard(ngx_http_atls_datagrams_t *d,
    trl_error_e reason)
{
    d->discarded++;
    d->reason = reason;

    if (reason < TRL_REFUSALS) {
        ngx_http_atls_count(refused[reason]);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_datagrams_reserve(ngx_http_atls_datagrams_t *d,
    trl_channel_t *channel, ngx_uint_t last)
{
    ngx_int_t   rc;
    uint64_t    first;
    ngx_uint_t  n;

    n = last ? 1 : trl_datagram_needs(channel);

    rc = ngx_http_atls_shared_reserve(d->zone, d->id, n, last, &first);

    if (rc == NGX_OK) {
        trl_datagram_reserve(channel, first, (unsigned) n);
    }

    return rc;
}


void
ngx_http_atls_datagrams_number(ngx_http_atls_datagrams_t *d, ngx_str_t *flight)
{
    uint32_t  n, first;

    n = trl_datagram_number(flight->data, flight->len, 0);
    first = ngx_http_atls_shared_flight(d->zone, d->id, n);

    (void) trl_datagram_number(flight->data, flight->len, first);
}


size_t
ngx_http_atls_datagrams_max(const trl_channel_t *channel)
{
    return ngx_min(trl_channel_max(channel),
                   NGX_HTTP_ATLS_DTLS_MTU - TRL_RECORD_OVERHEAD);
}
