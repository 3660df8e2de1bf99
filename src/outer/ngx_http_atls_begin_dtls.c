
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_kept.h"
#include "ngx_http_atls_snapshot.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_datagrams.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_begin_dtls.h"
#include "ngx_http_atls_open.h"


/* The random value in a ClientHello. */

#define NGX_HTTP_ATLS_DTLS_RANDOM  (NGX_HTTP_ATLS_DTLS_HELLO - TRL_RANDOM)


ngx_uint_t
ngx_http_atls_begin_dtls(ngx_http_atls_post_t *post, u_char *data, size_t len)
{
    return post->main_conf->dtls && len >= 3
           && data[0] >= TRL_CHANGE_CIPHER_SPEC
           && data[0] <= TRL_APPLICATION_DATA
           && data[1] == TRL_DTLSv1_2 >> 8
           && (data[2] == (TRL_DTLSv1_2 & 0xff) || data[2] == 0xff);
}


/*
 * The record has the epoch 0, and the message may be a fragment, less than 64
 * kilobytes long (RFC 6347, sections 4.1 and 4.2.2).  In the middle of a record
 * of a TLS session, the probability of this is less than 2^-55.
 */

ngx_uint_t
ngx_http_atls_begin_dtls_hello(u_char *data, size_t len)
{
    return len > TRL_DATAGRAM_HEADER + 1
           && data[0] == TRL_HANDSHAKE
           && data[3] == 0 && data[4] == 0
           && data[TRL_DATAGRAM_HEADER] == TRL_CLIENT_HELLO
           && data[TRL_DATAGRAM_HEADER + 1] == 0;
}


/*
 * A later fragment has no random value, and is never the start of a handshake.
 */

ngx_int_t
ngx_http_atls_begin_dtls_again(ngx_http_atls_post_t *post)
{
    size_t      len;
    u_char     *data, *random;
    ngx_int_t   rc;
    ngx_uint_t  same;

    rc = ngx_http_atls_body_peek(&post->body, NGX_HTTP_ATLS_DTLS_HELLO, &data,
                                 &len);
    if (rc != NGX_OK) {
        return rc;
    }

    if (len < NGX_HTTP_ATLS_DTLS_HELLO || data[19] || data[20] || data[21]) {
        return NGX_OK;
    }

    random = data + NGX_HTTP_ATLS_DTLS_RANDOM;

    if (post->handshake) {
        same = ngx_http_atls_handshake_is(post->handshake, random);

    } else {
        same = ngx_memcmp(post->session->state.u.tls12.client_random, random,
                          TRL_RANDOM)
               == 0;
    }

    return same ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_atls_begin_dtls_copy(ngx_http_atls_post_t *post)
{
    post->home = post->conf;

    post->take = ngx_http_atls_snapshot(post->main_conf->zone, post->id,
                                        &post->home, post->request->pool,
                                        &post->session);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD copy: %d", post->label, (int) post->take);

    switch (post->take) {

    case ngx_http_atls_take_ok:
        return post->session ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;

    case ngx_http_atls_take_elsewhere:
        return NGX_HTTP_ATLS_SESSION_ELSEWHERE;

    case ngx_http_atls_take_lost:
        return NGX_HTTP_ATLS_SESSION_LOST;

    default:
        return NGX_HTTP_ATLS_SESSION_UNKNOWN;
    }
}


ngx_int_t
ngx_http_atls_begin_dtls_open(ngx_http_atls_post_t *post)
{
    ngx_int_t                   rc;
    ngx_http_atls_datagrams_t  *d;

    rc = ngx_http_atls_open_check(post);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_atls_inner_reserve(post) != NGX_OK) {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    d = ngx_pcalloc(post->request->pool, sizeof(ngx_http_atls_datagrams_t));
    if (d == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (trl_channel_init(&post->channel, &post->session->state) != TRL_OK) {
        ngx_ssl_error(NGX_LOG_ALERT, post->request->connection->log, 0,
                      "atls session cannot be opened");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    d->zone = post->main_conf->zone;
    d->id = post->session->id;
    d->label = post->label;
    d->requests = post->session->requests;

    /* its records are discarded if it is sent again */

    post->answer.keep = 0;

    post->datagrams = d;
    post->stage = ngx_http_atls_post_datagrams;

    return NGX_OK;
}


/*
 * The session is put back at once, with the last flight, which the client may
 * need again.  There is nothing to compare it with, so its fingerprint is zero.
 */

ngx_int_t
ngx_http_atls_begin_dtls_finished(ngx_http_atls_post_t *post)
{
    ngx_int_t                  rc;
    ngx_http_atls_print_t      print;
    ngx_http_atls_response_t   response;

    ngx_memzero(&print, sizeof(ngx_http_atls_print_t));
    ngx_memzero(&response, sizeof(ngx_http_atls_response_t));

    response.keep = 1;
    response.print = &print;
    response.whole = 1;
    response.prefix = post->flight;
    response.len = post->flight.len;

    ngx_memcpy(post->id, post->session->id, NGX_HTTP_ATLS_ID_LEN);
    post->tagged = 0;

    ngx_http_atls_session_put(post->main_conf->zone, post->session, &response);
    post->session = NULL;

    rc = ngx_http_atls_begin_dtls_copy(post);

    if (rc == NGX_OK) {
        rc = ngx_http_atls_begin_dtls_open(post);
    }

    if (rc != NGX_OK) {

        /* it is only a copy */

        post->session = NULL;
    }

    return rc;
}
