
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_lifetime.h"
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
 * The first line that applies.  "Begun" is a response of which a part is sent,
 * to a client that is still connected: without NGX_ERROR, an error or a timeout
 * of the connection.
 *
 *     status                stage         session               fate
 *     ---------------------------------------------------------------
 *     NGX_OK                handshake     -                     keep
 *                           failed        -                     close
 *                           established   continues             keep
 *                           established   ends, see the alert   close
 *
 *     any                   begins        -                     keep
 *     any                   message       -                     keep
 *     any                   datagrams     continues             keep
 *     NGX_OK                datagrams     ends, see the alert   close
 *     any other             datagrams     ends                  drop
 *
 *     any, response begun   handshake     body not readable     close
 *                           established   -                     close
 *
 *     413, no room,         any           -                     drop
 *     timeout, refused,
 *     400 without an error
 *     of the connection
 *
 *     any other             handshake     -                     drop
 *                           failed        -                     drop
 *                           established   not used by the POST  keep
 *                           established   used by the POST      drop
 */

ngx_http_atls_fate_e
ngx_http_atls_fate(const ngx_http_atls_post_t *post, ngx_int_t status)
{
    if (post->datagrams && !post->datagrams->ends) {
        return ngx_http_atls_fate_keep;
    }

    if (status == NGX_OK) {
        return ngx_http_atls_fate_served(post);
    }

    /* the POST may be from anybody; with a message, it has only a copy */

    if (post->stage == ngx_http_atls_post_begins || post->coding) {
        return ngx_http_atls_fate_keep;
    }

    if (ngx_http_atls_fate_cut_short(post, status)) {
        return ngx_http_atls_fate_close;
    }

    switch (status) {

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:

        /* how much was processed depends on timing: always drop the session */

        return ngx_http_atls_fate_drop;

    case NGX_HTTP_BAD_REQUEST:

        /* without an error of the connection, chunked encoding was invalid */

        if (!post->request->connection->error) {
            return ngx_http_atls_fate_drop;
        }

        break;

    case NGX_HTTP_ATLS_ZONE_FULL:
    case NGX_HTTP_ATLS_HANDSHAKE_TIMEOUT:
    case NGX_HTTP_ATLS_SESSION_REFUSED:

        /* it cannot be put back, or must not be */

        return ngx_http_atls_fate_drop;
    }

    /* in a handshake, OpenSSL has already processed the input */

    return post->stage == ngx_http_atls_post_established
           && ngx_http_atls_fate_unused(post)
           ? ngx_http_atls_fate_keep : ngx_http_atls_fate_drop;
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

    case ngx_http_atls_post_datagrams:
        return ngx_http_atls_fate_close;

    default: /* if early data end the session, the handshake must be completed
                first */
        return ngx_http_atls_fate_keep;
    }
}


/*
 * A part of the response is sent, and the client is still connected: the
 * response is completed, and the session is closed.
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
 * Whether both sides have the same record numbers, and no plaintext was taken:
 * the whole body was decrypted, and it contained no data for inner requests.
 * Otherwise, data would be lost in the middle of the client's stream, since
 * someone on the path may tell the client that the POST was successful.
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
 * close_notify tells the client that all data were sent.  It must not be sent
 * if the response was cut, since someone on the path can cause that by closing
 * the connection or delaying data.  A client that has sent close_notify may
 * still wait for responses to earlier requests.
 *
 *     session ends             alert
 *     ------------------------------------------------------------------
 *     record refused           from the channel; none after a fatal alert
 *     cut                      internal_error
 *     closed                   close_notify
 *
 * With DTLS, the session ends for another reason than the response.
 */

ngx_int_t
ngx_http_atls_fate_alert(const ngx_http_atls_post_t *post)
{
    if (post->datagrams) {

        if (post->channel.peer_alert) {
            return NGX_HTTP_ATLS_NO_ALERT;
        }

        return post->datagrams->forged ? TRL_BAD_RECORD_MAC : TRL_CLOSE_NOTIFY;
    }

    switch (post->end) {

    case ngx_http_atls_end_refused:
        return post->channel.peer_alert ? NGX_HTTP_ATLS_NO_ALERT
                                        : post->channel.alert;

    case ngx_http_atls_end_cut:
        return TRL_INTERNAL_ERROR;

    default: /* ngx_http_atls_end_closed */
        return TRL_CLOSE_NOTIFY;
    }
}


/*
 * A reason that was known before is in the session.  If it ends with the
 * response, either side may have closed it.
 */

ngx_http_atls_ending_e
ngx_http_atls_fate_reason(const ngx_http_atls_post_t *post, ngx_int_t status)
{
    switch (status) {

    case NGX_HTTP_ATLS_ZONE_FULL:
        return ngx_http_atls_ending_full;

    case NGX_HTTP_ATLS_HANDSHAKE_TIMEOUT:
        return ngx_http_atls_ending_handshake_timeout;

    case NGX_HTTP_ATLS_SESSION_REFUSED:
        return ngx_http_atls_ending_policy;
    }

    if (post->stage == ngx_http_atls_post_failed) {
        return ngx_http_atls_ending_handshake_failed;
    }

    if (post->datagrams) {
        return post->datagrams->forged ? ngx_http_atls_ending_refused
               : post->channel.peer_alert ? ngx_http_atls_ending_alert
               : post->channel.state->read_closed
                 ? ngx_http_atls_ending_close_notify
                 : ngx_http_atls_ending_key_limit;
    }

    if (post->stage != ngx_http_atls_post_established) {
        return ngx_http_atls_ending_post;
    }

    switch (post->end) {

    case ngx_http_atls_end_none:
        return post->answer.started ? ngx_http_atls_ending_cut
                                    : ngx_http_atls_ending_post;

    case ngx_http_atls_end_refused:
        return post->channel.peer_alert ? ngx_http_atls_ending_alert
                                        : ngx_http_atls_ending_refused;

    case ngx_http_atls_end_cut:
        return ngx_http_atls_ending_cut;

    default: /* ngx_http_atls_end_closed */
        break;
    }

    if (post->session->reason) {
        return post->session->reason;
    }

    if (post->channel.state->read_closed) {
        return ngx_http_atls_ending_close_notify;
    }

    return ngx_http_atls_lifetime_over(post->session, post->home)
           ? ngx_http_atls_ending_lifetime : ngx_http_atls_ending_inner;
}


/*
 * The first line that applies.
 *
 *     handshake failed                             handshake-failed
 *     not finished, no early data                  handshake
 *     the last POST again                          retried
 *     nothing, or a part of a record               idle
 *     a record was refused, a fatal alert          record-refused, alert
 *     a response is incomplete, and the session    cut
 *     ends
 *     a request waits for more data                parked
 *     data of a request were received              served
 *     the handshake was finished                   opened
 *     an empty message                             idle
 *     close_notify was received                    closed
 *     otherwise                                    idle
 */

ngx_http_atls_outcome_e
ngx_http_atls_fate_outcome(const ngx_http_atls_post_t *post)
{
    if (post->stage == ngx_http_atls_post_failed) {
        return ngx_http_atls_outcome_handshake_failed;
    }

    if (post->stage == ngx_http_atls_post_handshake && !post->taken) {
        return ngx_http_atls_outcome_handshake;
    }

    if (post->stage == ngx_http_atls_post_begins) {
        return post->retried ? ngx_http_atls_outcome_retried
                             : ngx_http_atls_outcome_idle;
    }

    if (post->datagrams && post->datagrams->ends
        && (post->datagrams->forged || post->channel.peer_alert))
    {
        return post->datagrams->forged ? ngx_http_atls_outcome_record_refused
                                       : ngx_http_atls_outcome_alert;
    }

    switch (post->end) {

    case ngx_http_atls_end_refused:
        return post->channel.peer_alert ? ngx_http_atls_outcome_alert
                                        : ngx_http_atls_outcome_record_refused;

    case ngx_http_atls_end_cut:
        return ngx_http_atls_outcome_cut;

    default:
        break;
    }

    if (post->inner) {
        return ngx_http_atls_outcome_parked;
    }

    if (post->taken) {
        return ngx_http_atls_outcome_served;
    }

    if (post->finished) {
        return ngx_http_atls_outcome_opened;
    }

    if (post->coding) {
        return ngx_http_atls_outcome_idle;
    }

    return post->channel.state->read_closed ? ngx_http_atls_outcome_closed
                                            : ngx_http_atls_outcome_idle;
}
