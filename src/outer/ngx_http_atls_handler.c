
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_id.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_resource.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_tag.h"
#include "ngx_http_atls_session_view.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_accept.h"
#include "ngx_http_atls_elsewhere.h"
#include "ngx_http_atls_exported.h"
#include "ngx_http_atls_finish.h"
#include "ngx_http_atls_handler.h"
#include "ngx_http_atls_outcome.h"
#include "ngx_http_atls_post.h"
#include "ngx_http_atls_relay.h"
#include "ngx_http_atls_relayed.h"


/* The maximum number of cookies to look up. */

#define NGX_HTTP_ATLS_MAX_COOKIES  16
#define NGX_HTTP_ATLS_MAX_ASKED    4           /* the store, for a POST */


static ngx_int_t ngx_http_atls_handler_found(
    ngx_http_atls_elsewhere_t *elsewhere);
static ngx_int_t ngx_http_atls_handler_next(
    ngx_http_atls_elsewhere_t *elsewhere, ngx_http_atls_owner_t *owner);
static ngx_int_t ngx_http_atls_handler_run(ngx_http_atls_post_t *post,
    ngx_http_atls_owner_t *owner, ngx_str_t *text);
static ngx_int_t ngx_http_atls_handler_refuse(ngx_http_request_t *r,
    ngx_int_t problem);
static ngx_int_t ngx_http_atls_handler_accept(ngx_http_request_t *r,
    ngx_uint_t *message);
static void ngx_http_atls_handler_session(ngx_http_atls_post_t *post,
    u_char *id, ngx_str_t *text, ngx_http_atls_owner_t *owner);
static void ngx_http_atls_handler_named(ngx_http_atls_post_t *post,
    u_char *id, ngx_str_t *text, ngx_http_atls_owner_t *owner);
static void ngx_http_atls_handler_cookies(ngx_http_atls_post_t *post,
    u_char *id, ngx_str_t *cookie, ngx_http_atls_owner_t *owner);
static void ngx_http_atls_handler_untaken(ngx_http_atls_post_t *post,
    u_char *id);
static void ngx_http_atls_handler_unknown(ngx_http_atls_post_t *post,
    u_char *id);
static ngx_http_atls_take_e ngx_http_atls_handler_take(
    ngx_http_atls_post_t *post, u_char *id, ngx_http_atls_owner_t *owner);
static void ngx_http_atls_handler_moved(ngx_http_atls_post_t *post);
static void ngx_http_atls_handler_check(ngx_http_atls_post_t *post,
    u_char *id);


static ngx_str_t  ngx_http_atls_media_types[] = {
    ngx_string("application/atls+octet-stream"),
    ngx_string("application/atls"),
    ngx_null_string
};


ngx_int_t
ngx_http_atls_handler(ngx_http_request_t *r)
{
    u_char                     id[NGX_HTTP_ATLS_ID_LEN + NGX_HTTP_ATLS_TAG_LEN];
    ngx_int_t                  problem;
    ngx_str_t                  text;
    ngx_uint_t                 message;
    ngx_http_atls_post_t      *post;
    ngx_http_atls_owner_t      owner;
    ngx_http_atls_loc_conf_t  *alcf;

    if (ngx_http_atls_inner_get(r->connection)) {

        /* a pinned location may have rewrite directives, but no handler */

        alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

        return alcf->content_handler ? alcf->content_handler(r)
                                     : NGX_DECLINED;
    }

    if (r != r->main) {
        return NGX_HTTP_NOT_FOUND;
    }

    message = 0;

    problem = ngx_http_atls_handler_accept(r, &message);

    if (problem != NGX_OK) {
        return ngx_http_atls_handler_refuse(r, problem);
    }

    post = ngx_http_atls_post_create(r);
    if (post == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (message) {
        return ngx_http_atls_exported_create(post) == NGX_OK
               ? ngx_http_atls_handler_run(post, &owner, &text)
               : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_atls_handler_session(post, id, &text, &owner);

    if (post->main_conf->store && text.len
        && post->take <= ngx_http_atls_take_elsewhere)
    {
        return ngx_http_atls_elsewhere(post, id, &text,
                                       ngx_http_atls_relayed(r->connection),
                                       ngx_http_atls_handler_found)
               ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_atls_handler_run(post, &owner, &text);
}


/* The store has been asked for the session. */

static ngx_int_t
ngx_http_atls_handler_found(ngx_http_atls_elsewhere_t *elsewhere)
{
    ngx_int_t               rc;
    ngx_http_atls_post_t   *post;
    ngx_http_atls_owner_t   owner;

    post = elsewhere->post;

    switch (elsewhere->found) {

    case ngx_http_atls_found_here:
        post->take = ngx_http_atls_handler_take(post, elsewhere->lookup.id,
                                                &owner);

        if (post->take <= ngx_http_atls_take_elsewhere
            && ngx_http_atls_handler_next(elsewhere, &owner) == NGX_AGAIN)
        {
            return NGX_AGAIN;
        }

        break;

    case ngx_http_atls_found_node:
        ngx_http_atls_outcome_session(post->request, elsewhere->lookup.id);

        rc = ngx_http_atls_relay_node(post, elsewhere->relay,
                                      &elsewhere->link.node,
                                      elsewhere->link.peer.connection);

        elsewhere->link.peer.connection = NULL;

        return rc == NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS
               ? ngx_http_atls_handler_refuse(post->request, rc) : rc;

    case ngx_http_atls_found_failed:
        ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                      "atls session cannot be looked for");
        post->take = ngx_http_atls_take_unreachable;
        break;

    default: /* ngx_http_atls_found_none */

        if (ngx_http_atls_handler_next(elsewhere, &owner) == NGX_AGAIN) {
            return NGX_AGAIN;
        }
    }

    return ngx_http_atls_handler_run(post, &owner, &elsewhere->text);
}


/*
 * Continues with the next cookie.  NGX_AGAIN: the store has to be asked for it;
 * NGX_OK: it is a session of this machine; NGX_DECLINED: there is none.
 */

static ngx_int_t
ngx_http_atls_handler_next(ngx_http_atls_elsewhere_t *elsewhere,
    ngx_http_atls_owner_t *owner)
{
    u_char                   id[NGX_HTTP_ATLS_ID_LEN + NGX_HTTP_ATLS_TAG_LEN];
    ngx_str_t                value;
    ngx_uint_t               behind;
    ngx_http_atls_post_t    *post;
    ngx_http_atls_take_e     take;
    ngx_http_atls_cookies_t  cookies;

    post = elsewhere->post;
    behind = 0;

    ngx_http_atls_cookies(post->request, &post->conf->cookie.name, &cookies);

    while (post->tracking == NGX_HTTP_ATLS_TRACKING_COOKIE
           && !ngx_http_atls_relayed(post->request->connection)
           && elsewhere->tried < NGX_HTTP_ATLS_MAX_ASKED
           && ngx_http_atls_cookie_next(&cookies, &value))
    {
        if (!behind) {
            behind = (value.len == elsewhere->text.len
                      && ngx_strncmp(value.data, elsewhere->text.data,
                                     value.len)
                         == 0);
            continue;
        }

        if (ngx_http_atls_id_decode(&value, id) != NGX_OK) {
            continue;
        }

        take = ngx_http_atls_handler_take(post, id, owner);

        if (take > ngx_http_atls_take_elsewhere) {
            post->take = take;
            elsewhere->text = value;
            return NGX_OK;
        }

        if (take == ngx_http_atls_take_unknown) {
            ngx_http_atls_elsewhere_next(elsewhere, id, &value);
            return NGX_AGAIN;
        }
    }

    if (post->take == ngx_http_atls_take_unknown) {
        ngx_http_atls_handler_unknown(post, elsewhere->lookup.id);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_atls_handler_run(ngx_http_atls_post_t *post,
    ngx_http_atls_owner_t *owner, ngx_str_t *text)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = post->request;

    if (post->take == ngx_http_atls_take_handshake
        || post->take == ngx_http_atls_take_inner)
    {
        rc = ngx_http_atls_relay(post, owner, text, NULL);

        if (rc == NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS) {
            return ngx_http_atls_handler_refuse(r, rc);
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }

        /* the worker is gone, and so is the session */

        post->take = ngx_http_atls_take_lost;
    }

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_atls_post_start);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {

        /* the position of the next request is unknown */

        r->keepalive = 0;

        r->main->count++;
        ngx_http_atls_finish_error(post, rc);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_atls_handler_refuse(ngx_http_request_t *r, ngx_int_t problem)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_atls_outcome_set_problem(r, problem) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_atls_problem(r, problem);
}


static ngx_int_t
ngx_http_atls_handler_accept(ngx_http_request_t *r, ngx_uint_t *message)
{
    ngx_int_t   rc;
    ngx_str_t  *type, *sent;

    if (r->method != NGX_HTTP_POST) {
        sent = &r->method_name;

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls client sent method \"%*s\" instead of POST",
                      ngx_http_atls_label_len(sent), sent->data);

        return NGX_HTTP_ATLS_METHOD;
    }

    rc = ngx_http_atls_exported_accept(r);

    if (rc != NGX_DECLINED) {
        *message = 1;
        return rc;
    }

    type = ngx_http_atls_media_type(r);

    if (type == NULL) {

        if (r->headers_in.content_type) {
            sent = &r->headers_in.content_type->value;

            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "atls client sent media type \"%*s\"",
                          ngx_http_atls_label_len(sent), sent->data);

        } else {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "atls client sent no media type");
        }

        return NGX_HTTP_ATLS_MEDIA_TYPE;
    }

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;

    return NGX_OK;
}


ngx_str_t *
ngx_http_atls_media_type(ngx_http_request_t *r)
{
    ngx_str_t  *known;

    for (known = ngx_http_atls_media_types; known->len; known++) {
        if (ngx_http_atls_body_type(r, known)) {
            return known;
        }
    }

    return NULL;
}


/*
 * Takes the session that is named by the POST.  If its URI names one, cookies
 * do not matter: they may have been set by others, while the client has chosen
 * the URI.  id, text: of the session; empty if there is none, or it is invalid.
 */

static void
ngx_http_atls_handler_session(ngx_http_atls_post_t *post, u_char *id,
    ngx_str_t *text, ngx_http_atls_owner_t *owner)
{
    ngx_http_request_t  *r;

    r = post->request;
    text->len = 0;

    if (ngx_http_atls_relayed(r->connection)) {

        if (ngx_http_atls_relayed_session(r, text, &post->tracking)
            == NGX_OK)
        {
            ngx_http_atls_handler_named(post, id, text, owner);
        }

        return;
    }

    if ((post->conf->tracking & NGX_HTTP_ATLS_TRACKING_LOCATION)
        && ngx_http_atls_resource_find(r, post->conf, text))
    {
        post->tracking = NGX_HTTP_ATLS_TRACKING_LOCATION;

        if ((post->conf->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)
            && ngx_http_atls_cookie_has(r, &post->conf->cookie.name, text))
        {
            post->tracking |= NGX_HTTP_ATLS_TRACKING_COOKIE;
        }

        ngx_http_atls_handler_named(post, id, text, owner);

    } else if (post->conf->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE) {
        ngx_http_atls_handler_cookies(post, id, text, owner);
    }

    ngx_http_atls_outcome_named(r, post->tracking);
}


static void
ngx_http_atls_handler_named(ngx_http_atls_post_t *post, u_char *id,
    ngx_str_t *text, ngx_http_atls_owner_t *owner)
{
    ngx_uint_t  valid;

    post->take = ngx_http_atls_take_unknown;

    valid = (ngx_http_atls_id_decode(text, id) == NGX_OK);

    if (valid) {
        post->take = ngx_http_atls_handler_take(post, id, owner);

        if (post->take != ngx_http_atls_take_unknown
            && post->take <= ngx_http_atls_take_elsewhere)
        {
            text->len = 0;
        }

    } else {
        text->len = 0;
    }

    ngx_http_atls_handler_untaken(post, valid ? id : NULL);
}


/*
 * Takes the first session of this endpoint among those of the cookies.
 * Cookies from other paths or domains may have the same name, and are skipped.
 * If there is none, the first one that may be on another machine is returned:
 * cookies with longer paths are sent before others.
 */

static void
ngx_http_atls_handler_cookies(ngx_http_atls_post_t *post, u_char *id,
    ngx_str_t *cookie, ngx_http_atls_owner_t *owner)
{
    u_char                   sent[NGX_HTTP_ATLS_ID_LEN + NGX_HTTP_ATLS_TAG_LEN];
    ngx_str_t                value;
    ngx_uint_t               n;
    ngx_http_atls_take_e     take;
    ngx_http_atls_cookies_t  cookies;

    n = 0;

    ngx_http_atls_cookies(post->request, &post->conf->cookie.name, &cookies);

    while (n < NGX_HTTP_ATLS_MAX_COOKIES
           && ngx_http_atls_cookie_next(&cookies, &value))
    {
        post->tracking = NGX_HTTP_ATLS_TRACKING_COOKIE;
        take = ngx_http_atls_take_unknown;

        if (ngx_http_atls_id_decode(&value, sent) == NGX_OK) {
            take = ngx_http_atls_handler_take(post, sent, owner);
            n++;

            if (take > ngx_http_atls_take_elsewhere
                || (take == ngx_http_atls_take_unknown && cookie->len == 0))
            {
                ngx_memcpy(id, sent, sizeof(sent));
                *cookie = value;
            }
        }

        post->take = ngx_max(post->take, take);

        if (take > ngx_http_atls_take_elsewhere) {
            return;
        }
    }

    if (cookie->len && post->main_conf->store) {

        /* it is asked first */

        return;
    }

    ngx_http_atls_handler_untaken(post, n ? id : NULL);
}


/*
 * Logs why there is no session, if there is none.  id: the last one; NULL: none
 * was valid.
 */

static void
ngx_http_atls_handler_untaken(ngx_http_atls_post_t *post, u_char *id)
{
    ngx_log_t  *log;

    log = post->request->connection->log;

    switch (post->take) {

    case ngx_http_atls_take_elsewhere:
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls session belongs to another location");
        return;

    case ngx_http_atls_take_lost:
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls session lost with its worker process");
        return;

    case ngx_http_atls_take_foreign:
    case ngx_http_atls_take_unknown:
        break;

    default:
        return;
    }

    if (id) {

        /* with a store, it is asked first */

        if (post->main_conf->store == NULL) {
            ngx_http_atls_handler_unknown(post, id);
        }

    } else {
        ngx_log_error(NGX_LOG_INFO, log, 0, "atls client sent an invalid %s",
                      (post->tracking & NGX_HTTP_ATLS_TRACKING_LOCATION)
                      ? "URI of a session" : "cookie");
    }
}


static void
ngx_http_atls_handler_unknown(ngx_http_atls_post_t *post, u_char *id)
{
    post->take = ngx_http_atls_session_unknown(post->main_conf->zone, id,
                                           post->request->connection->log);
}


static ngx_http_atls_take_e
ngx_http_atls_handler_take(ngx_http_atls_post_t *post, u_char *id,
    ngx_http_atls_owner_t *owner)
{
    ngx_http_atls_take_e  take;

    ngx_memcpy(post->id, id, NGX_HTTP_ATLS_ID_LEN);
    ngx_memcpy(post->tag, id + NGX_HTTP_ATLS_ID_LEN, NGX_HTTP_ATLS_TAG_LEN);
    post->tagged = (post->main_conf->store != NULL);

    post->label = ngx_http_atls_label(id, post->request->connection->log);

    post->home = post->conf;

    take = ngx_http_atls_session_take(post->main_conf->zone, id, &post->home,
                                      &post->session, owner);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD take: %d, worker:%uD", post->label, (int) take,
                   ngx_http_atls_process.owner.id);

    switch (take) {

    case ngx_http_atls_take_handshake:
    case ngx_http_atls_take_inner:

        if (ngx_http_atls_relayed(post->request->connection)) {

            /* meanwhile, another POST has moved the session */

            return ngx_http_atls_take_busy;
        }

        ngx_http_atls_handler_moved(post);
        ngx_http_atls_handler_check(post, id);
        ngx_http_atls_outcome_session(post->request, id);

        return take;

    case ngx_http_atls_take_ok:
        ngx_http_atls_handler_moved(post);

        post->handshake = ngx_http_atls_session_handshake(post->session);

        if (post->handshake) {
            ngx_http_atls_handshake_attach(post->handshake, post);
        }

        return take;

    default:
        return take;
    }
}


/* Logs that the session belongs to another endpoint, which shares it. */

static void
ngx_http_atls_handler_moved(ngx_http_atls_post_t *post)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (post->home->endpoint == post->conf->endpoint
        || ngx_http_atls_relayed(post->request->connection))
    {
        return;
    }

    clcf = post->home->loc_conf[ngx_http_core_module.ctx_index];

    ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                  "atls session of location \"%V\" in server \"%V\" continued "
                  "at another endpoint",
                  &clcf->name, &post->home->server->server_name);
}


/*
 * Checks the session before the POST is relayed.  The other worker may have an
 * older configuration which still accepts the client.
 */

static void
ngx_http_atls_handler_check(ngx_http_atls_post_t *post, u_char *id)
{
    ngx_uint_t             valid;
    ngx_shm_zone_t        *zone;
    ngx_http_atls_view_t   view;

    zone = post->main_conf->zone;

    if (ngx_http_atls_session_view(zone, id, post->home, &view) != NGX_OK) {
        return;
    }

    valid = ngx_http_atls_accept_view(post, &view);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, post->request->connection->log, 0,
                   "atls %08xD relay check, expired:%ui, server:\"%V\"",
                   post->label, view.expired,
                   &post->target.server->server_name);

    if (view.expired || !valid) {
        ngx_http_atls_session_end(zone, id,
                                  valid ? ngx_http_atls_ending_lifetime
                                        : ngx_http_atls_ending_policy);
    }
}
