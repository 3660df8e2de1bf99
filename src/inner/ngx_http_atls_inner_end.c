
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_lifetime.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_end.h"
#include "ngx_http_atls_raw.h"


static ngx_uint_t ngx_http_atls_inner_keepalive(
    const ngx_http_atls_inner_t *inner);


void
ngx_http_atls_inner_last(ngx_http_atls_inner_t *inner)
{
    ngx_http_request_t  *r;

    inner->last = 1;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                   "atls %08xD last request", inner->label);

    /* the response header may already be sent */

    if (inner->connection->data != inner->hc) {
        r = inner->connection->data;
        r->keepalive = 0;
    }
}


ngx_uint_t
ngx_http_atls_inner_ends(ngx_http_atls_inner_t *inner)
{
    return inner->last
           || (inner->post
               && ngx_http_atls_lifetime_over(inner->post->session,
                                              inner->post->home));
}


/* After its response, a request may continue to discard the body. */

ngx_uint_t
ngx_http_atls_inner_half_answered(ngx_http_atls_inner_t *inner)
{
    ngx_http_request_t  *r;

    if (!inner->answering || inner->connection->data == inner->hc) {
        return inner->answering;
    }

    r = inner->connection->data;

    return !r->main->request_complete;
}


/* In a tunnel (101), core keeps what it has to send out of c->buffered. */

ngx_uint_t
ngx_http_atls_inner_unsent(const ngx_http_atls_inner_t *inner)
{
    ngx_connection_t  *c;

    c = inner->connection;

    return c->buffered || !c->write->ready;
}


/*
 * The effect of a closed inner connection on its session, by the first line
 * that applies:
 *
 *     nginx would have kept the connection alive            continues
 *     between two requests                                  continues
 *     available data were not received                      continues
 *     raw, with a complete response or with a 502           continues
 *     raw, with a part of a response, or with none          ends, cut
 *     an error, a timeout or unsent data during a response  ends, cut
 *     otherwise: no keepalive, or a request without a       ends
 *     response
 *
 * In the cases of "cut", core does not send close_notify over TLS, either.
 */

ngx_http_atls_end_e
ngx_http_atls_inner_end(const ngx_http_atls_inner_t *inner)
{
    ngx_connection_t  *c;

    c = inner->connection;

    if (inner->post && ngx_http_atls_inner_keepalive(inner)) {
        return ngx_http_atls_end_none;
    }

    if (inner->answering
        && (inner->raw || c->error || c->timedout
            || ngx_http_atls_inner_unsent(inner)))
    {
        return ngx_http_atls_end_cut;
    }

    return ngx_http_atls_end_closed;
}


ngx_uint_t
ngx_http_atls_inner_overtaken(const ngx_http_atls_inner_t *inner)
{
    return inner->upgraded && !inner->asked
           && inner->polls != ngx_http_atls_polls_records;
}


/* A parked connection is in the middle of a request. */

static ngx_uint_t
ngx_http_atls_inner_keepalive(const ngx_http_atls_inner_t *inner)
{
    ngx_connection_t  *c;

    c = inner->connection;

    if (inner->keepalive || c->idle) {
        return 1;
    }

    if (c->requests == 0 && inner->preface == 0) {

        /* core may have been out of memory before reading data */

        return inner->post->plain_len == 0;
    }

    if (inner->raw == NULL || !inner->raw->ended) {
        return 0;
    }

    return inner->post->bad_gateway
           || (inner->raw->answered && !c->buffered
               && !c->error && !c->timedout);
}
