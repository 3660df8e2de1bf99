
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_fate.h"


static ngx_http_atls_fate_e ngx_http_atls_fate_served(
    const ngx_http_atls_post_t *post);
static ngx_uint_t ngx_http_atls_fate_cut_short(
    const ngx_http_atls_post_t *post, ngx_int_t status);
static ngx_uint_t ngx_http_atls_fate_unused(const ngx_http_atls_post_t *post);


/*
 * The first line that applies:
 *
 *     status                stage         session               fate
 *     ---------------------------------------------------------------
 *     NGX_OK                handshake     -                     keep
 *                           failed        -                     close
 *                           established   goes on               keep
 *                           established   ends, see the alert   close
 *
 *     any, if the response  handshake     body not readable     close
 *     has begun             established   -                     close
 *
 *     413, 400, no room,    any           -                     drop
 *     time-out, refused
 *
 *     any other             begins        -                     keep
 *                           handshake     -                     drop
 *                           failed        -                     drop
 *                           established   both ends agree       keep
 *                           established   they may not          drop
 */

ngx_http_atls_fate_e
ngx_http_atls_fate(const ngx_http_atls_post_t *post, ngx_int_t status)
{
    if (status == NGX_OK) {
        return ngx_http_atls_fate_served(post);
    }

    if (ngx_http_atls_fate_cut_short(post, status)) {
        return ngx_http_atls_fate_close;
    }

    switch (status) {

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:

        /* how much of it was used depends on how it came: it is all the same */

        return ngx_http_atls_fate_drop;

    case NGX_HTTP_BAD_REQUEST:

        /* without an error of the connection, it is for what chunks are not */

        if (!post->request->connection->error) {
            return ngx_http_atls_fate_drop;
        }

        break;

    case NGX_HTTP_ATLS_ZONE_FULL:
    case NGX_HTTP_ATLS_HANDSHAKE_TIMEOUT:
    case NGX_HTTP_ATLS_SESSION_REFUSED:

        /* it can't be put back, or must not be */

        return ngx_http_atls_fate_drop;
    }

    switch (post->stage) {

    case ngx_http_atls_post_begins:
        return ngx_http_atls_fate_keep;

    case ngx_http_atls_post_established:
        return ngx_http_atls_fate_unused(post) ? ngx_http_atls_fate_keep
                                               : ngx_http_atls_fate_drop;

    default: /* of a handshake: OpenSSL has taken what it was fed */
        return ngx_http_atls_fate_drop;
    }
}


static ngx_http_atls_fate_e
ngx_http_atls_fate_served(const ngx_http_atls_post_t *post)
{
    switch (post->stage) {

    case ngx_http_atls_post_failed:
        return ngx_http_atls_fate_close;

    case ngx_http_atls_post_established:
        return post->end == ngx_http_atls_end_none ? ngx_http_atls_fate_keep
                                                   : ngx_http_atls_fate_close;

    default: /* a session that ends by early data needs its handshake for it */
        return ngx_http_atls_fate_keep;
    }
}


/*
 * A part of the response is sent, and the client is still there: the response
 * ends as if it were whole, and only the session does not.
 */

static ngx_uint_t
ngx_http_atls_fate_cut_short(const ngx_http_atls_post_t *post, ngx_int_t status)
{
    ngx_connection_t  *c;

    c = post->request->connection;

    if (status == NGX_ERROR || !post->answer.started || post->answer.error
        || c->error || c->timedout)
    {
        return 0;
    }

    return post->stage == ngx_http_atls_post_established
           || (post->stage == ngx_http_atls_post_handshake && post->status);
}


/*
 * Do both ends agree on all record numbers, and has no plaintext been taken?
 * Then the whole body has been opened, and there was nothing in it for an inner
 * request.  Otherwise bytes would be missing from the middle of the client's
 * stream: someone on the path may tell the client that the POST was served.
 */

static ngx_uint_t
ngx_http_atls_fate_unused(const ngx_http_atls_post_t *post)
{
    if (post->taken || post->sealed || post->plain_len
        || post->end != ngx_http_atls_end_none
        || post->channel.state->answer_owed)
    {
        return 0;
    }

    return post->ended || ngx_http_atls_body_done(&post->body);
}


/*
 * close_notify says that nothing is missing.  Someone on the path can bring
 * about that a response is cut, by closing its side of the connection or by
 * making others wait, and must not get that said.
 *
 *     session ends             alert
 *     ------------------------------------------------------------------
 *     record refused           the channel's; none after one that was fatal
 *     cut, client has closed   close_notify
 *     cut                      internal_error
 *     closed                   close_notify
 */

ngx_int_t
ngx_http_atls_fate_alert(const ngx_http_atls_post_t *post)
{
    switch (post->end) {

    case ngx_http_atls_end_refused:
        return post->channel.peer_alert ? NGX_HTTP_ATLS_NO_ALERT
                                        : post->channel.alert;

    case ngx_http_atls_end_cut:
        return post->channel.state->read_closed ? TRL_CLOSE_NOTIFY
                                                : TRL_INTERNAL_ERROR;

    default: /* ngx_http_atls_end_closed */
        return TRL_CLOSE_NOTIFY;
    }
}
