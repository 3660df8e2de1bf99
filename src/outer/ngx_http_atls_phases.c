
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_direct.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_psk.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_plaintext.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_end.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_cors.h"
#include "ngx_http_atls_outcome.h"
#include "ngx_http_atls_prepare.h"
#include "ngx_http_atls_phases.h"
#include "ngx_http_atls_relayed.h"


static ngx_int_t ngx_http_atls_phase_post_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_phase_direct(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_phase_check(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner);
static ngx_uint_t ngx_http_atls_phase_allowed(ngx_http_atls_inner_t *inner,
    ngx_http_core_srv_conf_t *cscf);
static ngx_uint_t ngx_http_atls_phase_met(ngx_http_atls_inner_t *inner,
    ngx_http_atls_loc_conf_t *alcf);
static ngx_int_t ngx_http_atls_phase_pin(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner);
static void ngx_http_atls_phase_request_done(void *data);
static ngx_uint_t ngx_http_atls_phase_received(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_phase_rewrite(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_phase_precontent(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_phase_log(ngx_http_request_t *r);
#if (NGX_HTTP_DAV)
static ngx_int_t ngx_http_atls_phase_content(ngx_http_request_t *r);
#endif


ngx_int_t
ngx_http_atls_phases_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_POST_READ_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_atls_phase_post_read;

    /* handlers are called in reverse order of their addition */

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_atls_phase_rewrite;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_atls_phase_precontent;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_atls_phase_log;

#if (NGX_HTTP_DAV)

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_CONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_atls_phase_content;

#endif

    return NGX_OK;
}


/* Counts inner requests and sets the location of pinned ones. */

static ngx_int_t
ngx_http_atls_phase_post_read(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_cleanup_t     *cln;
    ngx_http_atls_inner_t  *inner;

    if (ngx_http_atls_relayed(r->connection)) {
        return ngx_http_atls_relayed_serve(r);
    }

    inner = ngx_http_atls_inner_get(r->connection);

    if (inner == NULL) {
        return ngx_http_atls_phase_direct(r);
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_atls_phase_request_done;
    cln->data = r;

    if (ngx_http_atls_inner_proxy(inner, r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* an HTTP/0.9 or raw response may be empty, and has no header */

    inner->answering = (inner->raw || r->http_version < NGX_HTTP_VERSION_10);

    if (inner->raw) {

        /* early hints would be data: RFC 9110, section 15.2 */

        r->http_version = NGX_HTTP_VERSION_10;
    }

    if (inner->post) {
        inner->info.requests = ++inner->post->session->requests;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD request %uL, server:\"%V\"", inner->label,
                   inner->info.requests, &inner->target.server->server_name);

    if (inner->single) {
        ngx_http_atls_inner_last(inner);

        if (r->headers_in.upgrade) {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "atls client requested an upgrade in a message");
            return NGX_HTTP_NOT_IMPLEMENTED;
        }
    }

    rc = ngx_http_atls_phase_check(r, inner);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!inner->target.conf->pinned) {
        return NGX_DECLINED;
    }

    return ngx_http_atls_phase_pin(r, inner);
}


static ngx_int_t
ngx_http_atls_phase_direct(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_direct_check(r);

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    r->keepalive = 0;

    return rc;
}


/*
 * Like ngx_http_process_request() for TLS connections: checks that the client
 * is accepted, and that the request is for the server whose certificate was
 * used.  Without SNI, a client may request other servers, except those with
 * stricter client verification.
 *
 * The name of the session is that of another server on another address, to
 * which anyone on the path can move a POST, or after a reload.  The client has
 * not verified the certificate of that server, so the session ends.
 */

static ngx_int_t
ngx_http_atls_phase_check(ngx_http_request_t *r, ngx_http_atls_inner_t *inner)
{
    ngx_int_t                  rc;
    ngx_uint_t                 moved;
    ngx_http_core_srv_conf_t  *cscf;

    rc = ngx_http_atls_identity_check(inner->target.tls, &inner->info.identity,
                                      inner->info.verify_error,
                                      r->connection->log);
    if (rc != NGX_OK) {
        return rc;
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    moved = (inner->info.other != inner->target.other);

    if (moved) {
        ngx_http_atls_inner_last(inner);

    } else if (inner->raw) {
        return NGX_OK;
    }

    if (moved || (inner->target.named && cscf != inner->target.server)
        || !ngx_http_atls_phase_allowed(inner, cscf))
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls client attempted to request the server name "
                      "different from the one that was negotiated");
        return NGX_HTTP_MISDIRECTED_REQUEST;
    }

    return NGX_OK;
}


/*
 * If the session was created at an endpoint of another server, the client must
 * also be accepted by this server and all its endpoints, since their
 * verification may be stricter.
 */

static ngx_uint_t
ngx_http_atls_phase_allowed(ngx_http_atls_inner_t *inner,
    ngx_http_core_srv_conf_t *cscf)
{
    ngx_uint_t                 i;
    ngx_array_t               *endpoints;
    ngx_http_atls_endpoint_t  *endpoint;
    ngx_http_atls_loc_conf_t  *alcf;

    if (inner->target.srv_conf == cscf->ctx->srv_conf) {
        return 1;
    }

    alcf = cscf->ctx->loc_conf[ngx_http_atls_module.ctx_index];

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                   "atls %08xD policy of server \"%V\"", inner->label,
                   &cscf->server_name);

    if (!ngx_http_atls_phase_met(inner, alcf)) {
        return 0;
    }

    endpoints = &alcf->endpoints;
    endpoint = endpoints->elts;

    for (i = 0; i < endpoints->nelts; i++) {

        alcf = endpoint[i].loc_conf[ngx_http_atls_module.ctx_index];

        if (!ngx_http_atls_phase_met(inner, alcf)) {
            return 0;
        }
    }

    return 1;
}


/*
 * Whether the client is also accepted by directives other than those used in
 * the handshake.
 */

static ngx_uint_t
ngx_http_atls_phase_met(ngx_http_atls_inner_t *inner,
    ngx_http_atls_loc_conf_t *alcf)
{
    ngx_str_t                 *psk;
    ngx_uint_t                 psk_only;
    ngx_http_atls_loc_conf_t  *tls;

    psk = &inner->info.identity.fields[NGX_HTTP_ATLS_IDENTITY_PSK];
    psk_only = (alcf->psks && alcf->certificates == NULL);
    tls = inner->target.tls;

    if (!alcf->verify && !psk_only) {
        return 1;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, inner->connection->log, 0,
                   "atls %08xD policy, verify client:%ui, psk only:%ui",
                   inner->label, alcf->verify, psk_only);

    if (psk->len) {
        return ngx_http_atls_psk_policy(alcf->psks, psk)
               == ngx_http_atls_psk_policy(tls->psks, psk);
    }

    return alcf->policy == tls->policy;
}


/* Switches to the location, regardless of the URI, as for named locations. */

static ngx_int_t
ngx_http_atls_phase_pin(ngx_http_request_t *r, ngx_http_atls_inner_t *inner)
{
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_core_main_conf_t  *cmcf;

    r->srv_conf = inner->target.srv_conf;
    r->loc_conf = inner->target.loc_conf;

    ngx_http_update_location_config(r);

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD pinned to location \"%V\"", inner->label,
                   &clcf->name);

    /*
     * If proxy_pass has a URI, it replaces the prefix of the location.  A
     * URI without this prefix is passed unchanged, like a URI changed by
     * rewrite.
     */

    if (r->uri.len < clcf->name.len
        || ngx_strncmp(r->uri.data, clcf->name.data, clcf->name.len) != 0)
    {
        r->valid_location = 0;
    }

    /* checks of the find config phase */

    if (clcf->client_max_body_size
        && clcf->client_max_body_size < r->headers_in.content_length_n)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "client intended to send too large body: %O bytes",
                      r->headers_in.content_length_n);

        r->expect_tested = 1;
        (void) ngx_http_discard_request_body(r);
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->phase_handler = cmcf->phase_engine.location_rewrite_index;

    ngx_http_core_run_phases(r);

    return NGX_DONE;
}


/*
 * On graceful shutdown, core closes connections after a request.  If the
 * connection would have been kept alive otherwise, the session continues, and
 * pipelined requests are pushed back.
 */

static void
ngx_http_atls_phase_request_done(void *data)
{
    ngx_http_request_t  *r = data;

    ngx_buf_t              *b;
    ngx_connection_t       *c;
    ngx_http_atls_inner_t  *inner;

    c = r->connection;
    inner = ngx_http_atls_inner_get(c);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls %08xD request done: %d, keepalive:%d, error:%d",
                   inner->label, (int) r->done, (int) r->keepalive,
                   (int) c->error);

    /*
     * If the response is complete, only the request body may be incomplete.
     * r->done is also set after post_action, whatever the response.
     */

    if ((r->request_complete || (!c->error && !c->timedout))
        && !ngx_http_atls_inner_unsent(inner) && inner->raw == NULL)
    {
        inner->answering = 0;
    }

    /* with keepalive_min_timeout, core keeps the connection alive */

    if (inner->post) {
        inner->draining = inner->post->draining;
    }

    if (inner->post == NULL || !(ngx_exiting || ngx_terminate)
        || !r->keepalive || !r->done || c->error || c->timedout
        || !ngx_http_atls_phase_received(r)
        || ngx_http_atls_inner_ends(inner))
    {
        return;
    }

    inner->keepalive = 1;

    b = r->header_in;

    if (b->pos < b->last
        && ngx_http_atls_stream_push_back(inner->post, b->pos, b->last - b->pos)
           != NGX_OK)
    {
        inner->keepalive = 0;
    }
}


/*
 * Whether the request body was read or discarded completely: its rest must not
 * be parsed as a request.
 */

static ngx_uint_t
ngx_http_atls_phase_received(ngx_http_request_t *r)
{
    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        return 1;
    }

    if (r->reading_body || r->discard_body) {
        return 0;
    }

    if (r->request_body && r->request_body->post_handler) {
        return r->request_body->rest == 0;
    }

    /* decremented while the body is discarded */

    return r->headers_in.content_length_n == 0;
}


/*
 * This handler must be called before the rewrite directives, which may send a
 * response.  The location is not known before this phase.
 */

static ngx_int_t
ngx_http_atls_phase_rewrite(ngx_http_request_t *r)
{
    ngx_http_atls_inner_t      *inner;
    ngx_http_atls_loc_conf_t   *alcf;
    ngx_http_core_main_conf_t  *cmcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);
    inner = ngx_http_atls_inner_get(r->connection);

    if (inner) {

        /*
         * Nested ATLS is rejected, and so are requests for the location of
         * another endpoint, as its client verification may be stricter.
         */

        if (alcf->enable
            && (!alcf->pinned
                || alcf->endpoint != inner->target.conf->endpoint))
        {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "atls request for a location with \"atls on\"");
            return NGX_HTTP_NOT_FOUND;
        }

        return NGX_DECLINED;
    }

    if (alcf->enable) {

        if (ngx_http_atls_outcome_create(r) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /*
         * before access is checked: browsers send preflight requests without
         * credentials
         */

        if (alcf->cors && ngx_http_atls_cors_preflight(r, alcf->cors)) {
            return NGX_HTTP_NO_CONTENT;
        }

        /* the rewrite directives of the location are for inner requests */

        cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

        r->phase_handler = cmcf->phase_engine.handlers[r->phase_handler].next;

        ngx_http_core_run_phases(r);

        return NGX_DONE;
    }

    if (alcf->required) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "access forbidden by \"atls_required\"");
        return NGX_HTTP_FORBIDDEN;
    }

    return NGX_DECLINED;
}


/*
 * Outer requests must also skip "try_files" and "mirror", which could bypass
 * the endpoint.
 */

static ngx_int_t
ngx_http_atls_phase_precontent(ngx_http_request_t *r)
{
    ngx_http_atls_inner_t     *inner;
    ngx_http_atls_loc_conf_t  *alcf;

    inner = ngx_http_atls_inner_get(r->connection);

    if (inner) {
        return ngx_http_atls_prepare(r, inner);
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    return alcf->enable && r == r->main ? NGX_OK : NGX_DECLINED;
}


/*
 * Counts inner requests.  Outer ones are counted by their outcomes: core may
 * have rejected them before the first phase of their location.
 */

static ngx_int_t
ngx_http_atls_phase_log(ngx_http_request_t *r)
{
    ngx_uint_t                 class;
    ngx_http_atls_loc_conf_t  *alcf;

    /* with "log_subrequest" */

    if (r != r->main) {
        return NGX_OK;
    }

    if (ngx_http_atls_inner_get(r->connection)) {
        class = (r->err_status ? r->err_status : r->headers_out.status) / 100;

        ngx_http_atls_count(requests[class < 6 ? class : 0]);

        return NGX_OK;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    if (alcf->enable) {
        (void) ngx_http_atls_outcome_create(r);
    }

    return NGX_OK;
}


#if (NGX_HTTP_DAV)

/*
 * The dav module compares the scheme of the destination with that of the
 * connection, which is "http" since c->ssl is NULL.  So it gets a copy with
 * the opposite scheme, while $http_destination is unchanged.  A copy is
 * recognized by its zero hash after an internal redirect.
 */

static ngx_int_t
ngx_http_atls_phase_content(ngx_http_request_t *r)
{
    ngx_str_t        *value;
    ngx_uint_t        https;
    ngx_table_elt_t  *destination;

    if (!(r->method & (NGX_HTTP_COPY|NGX_HTTP_MOVE))
        || r->headers_in.destination == NULL
        || r->headers_in.destination->hash == 0
        || ngx_http_atls_inner_get(r->connection) == NULL)
    {
        return NGX_DECLINED;
    }

    value = &r->headers_in.destination->value;

    if (ngx_strncmp(value->data, "https://", sizeof("https://") - 1) == 0) {
        https = 1;

    } else if (ngx_strncmp(value->data, "http://", sizeof("http://") - 1)
               == 0)
    {
        https = 0;

    } else {
        return NGX_DECLINED;
    }

    destination = ngx_palloc(r->pool, sizeof(ngx_table_elt_t));
    if (destination == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *destination = *r->headers_in.destination;

    destination->hash = 0;

    value = &destination->value;

    value->data = ngx_pnalloc(r->pool, value->len + sizeof("s"));
    if (value->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value->len = ngx_sprintf(value->data, "%s%s%Z", https ? "http" : "https",
                             r->headers_in.destination->value.data
                             + (https ? sizeof("https") : sizeof("http")) - 1)
                 - value->data - 1;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls destination: \"%V\"", value);

    r->headers_in.destination = destination;

    return NGX_DECLINED;
}

#endif
