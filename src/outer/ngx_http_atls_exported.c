
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_message.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_id.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_tag.h"
#include "ngx_http_atls_snapshot.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_coding.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_exported.h"
#include "ngx_http_atls_open.h"
#include "ngx_http_atls_outcome.h"


static ngx_int_t ngx_http_atls_exported_session(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_exported_untaken(ngx_http_atls_post_t *post,
    u_char *id);
static ngx_int_t ngx_http_atls_exported_check(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_exported_mark(ngx_http_atls_post_t *post);


static ngx_str_t  ngx_http_atls_exported_type = ngx_string("message/http");
static ngx_str_t  ngx_http_atls_exported_coding = ngx_string("aes128gcm");


ngx_int_t
ngx_http_atls_exported_accept(ngx_http_request_t *r)
{
    ngx_str_t                 *coding;
    ngx_uint_t                 lines;
    ngx_http_atls_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    if (!alcf->exported_keys
        || !ngx_http_atls_body_type(r, &ngx_http_atls_exported_type))
    {
        return NGX_DECLINED;
    }

    coding = ngx_http_atls_body_coding(r, &lines);

    /* several lines are a list: the body would have several codings */

    if (lines != 1
        || coding->len != ngx_http_atls_exported_coding.len
        || ngx_strncasecmp(coding->data, ngx_http_atls_exported_coding.data,
                           coding->len)
           != 0)
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls client sent a message without the content coding "
                      "aes128gcm");
        return NGX_HTTP_ATLS_CONTENT_CODING;
    }

    r->headers_out.content_type = ngx_http_atls_exported_type;
    r->headers_out.content_type_len = ngx_http_atls_exported_type.len;

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_exported_create(ngx_http_atls_post_t *post)
{
    post->coding = ngx_pcalloc(post->request->pool,
                               sizeof(ngx_http_atls_coding_t));
    if (post->coding == NULL) {
        return NGX_ERROR;
    }

    ngx_http_atls_answer_init(&post->answer, post->request,
                              post->conf->buffer_size
                              + NGX_HTTP_ATLS_CODING_HEADER);

    /* a message is not repeated, so its response is not kept */

    post->answer.keep = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_exported_begin(ngx_http_atls_post_t *post)
{
    ngx_int_t  rc;

    if (post->session == NULL) {
        rc = ngx_http_atls_exported_session(post);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_http_atls_coding_open(post->coding, &post->body, &post->plain,
                                   &post->plain_len);

    if (rc == NGX_DECLINED) {
        return NGX_HTTP_ATLS_MESSAGE_REFUSED;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_atls_exported_mark(post);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_atls_stream_count(post, NGX_HTTP_ATLS_IN, post->plain_len);

    post->stage = ngx_http_atls_post_message;

    return NGX_OK;
}


/* Finds the session named by the message, and prepares to open it. */

static ngx_int_t
ngx_http_atls_exported_session(ngx_http_atls_post_t *post)
{
    u_char               id[NGX_HTTP_ATLS_ID_LEN + NGX_HTTP_ATLS_TAG_LEN];
    ngx_int_t            rc;
    ngx_str_t            text;
    ngx_log_t           *log;
    ngx_http_request_t  *r;

    r = post->request;
    log = r->connection->log;

    rc = ngx_http_atls_coding_read(post->coding, &post->body, &text);

    if (rc == NGX_OK) {
        rc = ngx_http_atls_id_decode(&text, id);
    }

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_HTTP_ATLS_MESSAGE_REFUSED : rc;
    }

    post->tracking = NGX_HTTP_ATLS_TRACKING_KEYID;
    ngx_http_atls_outcome_named(r, post->tracking);

    /* a cookie is only renewed or expired */

    if (ngx_http_atls_cookie_has(r, &post->conf->cookie.name, &text)) {
        post->tracking |= NGX_HTTP_ATLS_TRACKING_COOKIE;
    }

    ngx_memcpy(post->id, id, NGX_HTTP_ATLS_ID_LEN);
    post->label = ngx_http_atls_label(id, log);

    post->take = ngx_http_atls_snapshot(post->main_conf->zone, id, &post->home,
                                        r->pool, &post->session);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls %08xD message, number:%uL, take:%d", post->label,
                   post->coding->number, (int) post->take);

    if (post->take != ngx_http_atls_take_ok) {
        return ngx_http_atls_exported_untaken(post, id);
    }

    if (post->session == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_atls_exported_check(post);
}


static ngx_int_t
ngx_http_atls_exported_untaken(ngx_http_atls_post_t *post, u_char *id)
{
    ngx_log_t  *log;

    log = post->request->connection->log;

    switch (post->take) {

    case ngx_http_atls_take_handshake:
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls client sent a message before the handshake was "
                      "finished");
        return NGX_HTTP_ATLS_HALF_OPEN;

    case ngx_http_atls_take_elsewhere:
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls session belongs to another location");
        return NGX_HTTP_ATLS_SESSION_ELSEWHERE;

    case ngx_http_atls_take_lost:
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls session lost with its worker process");
        return NGX_HTTP_ATLS_SESSION_LOST;

    default: /* ngx_http_atls_take_unknown */
        break;
    }

    post->take = ngx_http_atls_session_unknown(post->main_conf->zone, id, log);

    return post->take == ngx_http_atls_take_foreign
           ? NGX_HTTP_ATLS_SESSION_FOREIGN : NGX_HTTP_ATLS_SESSION_UNKNOWN;
}


/*
 * Whether the session, and its client, may send requests with exported keys.
 * Its endpoint may be another one, see atls_endpoint.
 */

static ngx_int_t
ngx_http_atls_exported_check(ngx_http_atls_post_t *post)
{
    ngx_int_t    rc;
    ngx_log_t   *log;
    const char  *reason;

    log = post->request->connection->log;

    reason = post->home->exported_keys
             ? trl_message_refused(&post->session->state)
             : "its endpoint does not allow them";

    if (reason) {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls session has no exported keys: %s", reason);
        return NGX_HTTP_ATLS_KEYS_REFUSED;
    }

    rc = ngx_http_atls_open_check(post);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_atls_coding_in(post->coding, &post->session->state, log)
           == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * The first record is authentic.  What is needed for the request is allocated
 * before its number is used.
 */

static ngx_int_t
ngx_http_atls_exported_mark(ngx_http_atls_post_t *post)
{
    ngx_int_t                rc;
    ngx_log_t               *log;
    ngx_http_atls_coding_t  *coding;

    log = post->request->connection->log;
    coding = post->coding;

    if (ngx_http_atls_inner_reserve(post) != NGX_OK) {
        return NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS;
    }

    if (ngx_http_atls_coding_out(coding, &post->session->state,
                                 post->conf->buffer_size, post->request->pool,
                                 log)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_atls_snapshot_mark(post->main_conf->zone, post->session,
                                     post->home, coding->number,
                                     (post->tracking
                                      & NGX_HTTP_ATLS_TRACKING_COOKIE)
                                     ? &coding->age : NULL);
    switch (rc) {

    case NGX_OK:
        return NGX_OK;

    case NGX_DECLINED:
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls client repeated a message, or its number is too "
                      "old");
        return NGX_HTTP_ATLS_MESSAGE_REPEATED;

    default: /* NGX_ABORT */
        return NGX_HTTP_ATLS_SESSION_UNKNOWN;
    }
}


ngx_int_t
ngx_http_atls_exported_headers(ngx_http_atls_post_t *post)
{
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    r = post->request;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    ngx_str_set(&h->key, "Content-Encoding");
    h->value = ngx_http_atls_exported_coding;
    ngx_http_atls_link_header(h);

    /* core does not compress the response then */

    r->headers_out.content_encoding = h;

    return NGX_OK;
}


void
ngx_http_atls_exported_end(ngx_http_atls_post_t *post)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD message end", post->label);

    if (post->stage == ngx_http_atls_post_message) {
        ngx_http_atls_snapshot_end(post->main_conf->zone, post->session,
                                   post->body.bytes, post->answer.bytes);
    }

    ngx_http_atls_coding_done(post->coding);

    post->session = NULL;
}
