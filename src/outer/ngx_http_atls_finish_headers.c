
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_resource.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_lifetime.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_exported.h"
#include "ngx_http_atls_fate.h"
#include "ngx_http_atls_finish_headers.h"
#include "ngx_http_atls_relayed.h"


static ngx_int_t ngx_http_atls_finish_location(ngx_http_atls_post_t *post);
static time_t ngx_http_atls_finish_age(ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_finish_cookie(ngx_http_atls_post_t *post,
    time_t age);


ngx_int_t
ngx_http_atls_finish_headers(ngx_http_atls_post_t *post)
{
    time_t  age;

    post->request->headers_out.status = NGX_HTTP_OK;

    if (ngx_http_atls_fate(post, NGX_OK) != ngx_http_atls_fate_keep) {
        return post->fresh ? NGX_OK : ngx_http_atls_finish_expire(post);
    }

    if (post->fresh && (post->tracking & NGX_HTTP_ATLS_TRACKING_LOCATION)
        && ngx_http_atls_finish_location(post) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /*
     * The output of a handshake is also sent with a 502 response, as the
     * client needs it to continue.
     */

    if (post->bad_gateway) {
        post->request->headers_out.status = NGX_HTTP_BAD_GATEWAY;
    }

    if (post->coding && ngx_http_atls_exported_headers(post) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!(post->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)) {
        return NGX_OK;
    }

    age = ngx_http_atls_finish_age(post);

    return age ? ngx_http_atls_finish_cookie(post, age) : NGX_OK;
}


/*
 * A client that has lost a response has lost its header, too.  It may know the
 * cookie from an earlier one, but with a lower age.
 */

ngx_int_t
ngx_http_atls_finish_retried(ngx_http_atls_post_t *post)
{
    post->request->headers_out.status = NGX_HTTP_OK;

    if (!post->retried) {
        return NGX_OK;
    }

    if (post->created
        && (post->conf->tracking & NGX_HTTP_ATLS_TRACKING_LOCATION)
        && ngx_http_atls_finish_location(post) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return post->age && (post->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)
           ? ngx_http_atls_finish_cookie(post, post->age) : NGX_OK;
}


/* A path: a proxy may be reached by another scheme, name or port. */

static ngx_int_t
ngx_http_atls_finish_location(ngx_http_atls_post_t *post)
{
    ngx_str_t            value;
    ngx_http_request_t  *r;

    r = post->request;

    r->headers_out.status = NGX_HTTP_CREATED;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD Location", post->label);

    if (ngx_http_atls_resource_header(r, post->conf, post->id, &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* core would make headers_out.location absolute */

    return ngx_http_atls_add_header(r, "Location", &value);
}


/*
 * How long the client may keep the cookie; 0: it knows that already.  A request
 * is unfinished if its inner connection is about to be parked; or, if the
 * response begins before the end of the POST, it may be.  An upgraded
 * connection is parked after each POST.
 */

static time_t
ngx_http_atls_finish_age(ngx_http_atls_post_t *post)
{
    int64_t     used;
    ngx_uint_t  upgraded, unfinished;

    if (post->coding) {
        return post->coding->age;
    }

    upgraded = post->inner && ngx_http_atls_inner_tunnel(post->inner);

    if (upgraded && !post->opened
        && post->stage == ngx_http_atls_post_established)
    {
        return ngx_http_atls_lifetime_poll(post->session, post->home);
    }

    used = post->opened ? ngx_http_atls_clock() : post->session->used;
    unfinished = upgraded
                 || (post->inner
                     && (post->parking || post->request->reading_body));

    return ngx_http_atls_lifetime_cookie(post->session, post->home, used,
                                         unfinished);
}


/* Sets the cookie; age 0: expires it. */

static ngx_int_t
ngx_http_atls_finish_cookie(ngx_http_atls_post_t *post, time_t age)
{
    ngx_str_t            value;
    ngx_http_request_t  *r;

    r = post->request;

    if (ngx_http_atls_cookie_header(r, &post->conf->cookie,
                                    age ? post->id : NULL,
                                    post->tagged ? post->tag : NULL, age,
                                    ngx_http_atls_relayed_secure(r->connection),
                                    &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD Set-Cookie, age:%T", post->label, age);

    return ngx_http_atls_add_header(r, "Set-Cookie", &value);
}


/* Only a client that has sent the cookie has to forget it. */

ngx_int_t
ngx_http_atls_finish_expire(ngx_http_atls_post_t *post)
{
    return (post->tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)
           ? ngx_http_atls_finish_cookie(post, 0) : NGX_OK;
}
