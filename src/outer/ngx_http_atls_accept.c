
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_sni.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_accept.h"


static void ngx_http_atls_accept_target(ngx_http_atls_post_t *post,
    ngx_str_t *name);


void
ngx_http_atls_accept_look(ngx_http_atls_post_t *post)
{
    ngx_str_t                 name;
    ngx_http_atls_session_t  *session;

    session = post->session;

    name = ngx_http_atls_session_sni(session);

    ngx_http_atls_accept_target(post, &name);

    post->last = !ngx_http_atls_identity_valid(session, post->target.tls);
}


ngx_int_t
ngx_http_atls_accept(ngx_http_atls_post_t *post)
{
    if (!post->last || post->session->inner || post->inner) {

        /* a request in progress may be completed before the session ends */

        return NGX_OK;
    }

    return ngx_http_atls_accept_refuse(post);
}


ngx_uint_t
ngx_http_atls_accept_view(ngx_http_atls_post_t *post,
    ngx_http_atls_view_t *view)
{
    ngx_http_atls_accept_target(post, &view->sni);

    return ngx_http_atls_identity_view_valid(view, post->target.tls);
}


ngx_int_t
ngx_http_atls_accept_refuse(ngx_http_atls_post_t *post)
{
    ngx_log_error(NGX_LOG_INFO, post->request->connection->log, 0,
                  "atls session refused: the client must be verified again");

    return NGX_HTTP_ATLS_SESSION_REFUSED;
}


/* Selects the server, from the location of the POST and the server name. */

static void
ngx_http_atls_accept_target(ngx_http_atls_post_t *post, ngx_str_t *name)
{
    ngx_http_request_t  *r;

    r = post->request;

    ngx_http_atls_sni_target(r, post->home, &post->target);

    if (name->len) {
        ngx_http_atls_sni_select(&post->target, name, r->connection->log);
    }
}
