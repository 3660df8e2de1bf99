
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_end.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_raw.h"
#include "ngx_http_atls_filter.h"
#include "ngx_http_atls_handler.h"


static ngx_int_t ngx_http_atls_header_filter(ngx_http_request_t *r);
static ngx_uint_t ngx_http_atls_filter_outer(ngx_http_request_t *r);
static ngx_int_t ngx_http_atls_filter_set_no_store(ngx_http_request_t *r);
static void ngx_http_atls_filter_marked(void *data);
static void ngx_http_atls_filter_raw(ngx_http_request_t *r,
    ngx_http_atls_post_t *post);
static ngx_int_t ngx_http_atls_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_int_t
ngx_http_atls_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_atls_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_atls_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_header_filter(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_uint_t              exiting;
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_inner_get(r->connection);

    if (inner == NULL) {

        if (ngx_http_atls_filter_outer(r)
            && ngx_http_atls_filter_set_no_store(r) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_next_header_filter(r);
    }

    /*
     * Records are made of what is in memory, as core knows of connections with
     * TLS.  Here, as that is known of any response, also of one to a request
     * that could not be parsed, before its body.
     */

    r->main_filter_need_in_memory = 1;

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD response %ui, keepalive:%d", inner->label,
                   r->headers_out.status, (int) r->keepalive);

    if (inner->raw) {
        inner->answering = 1;
        ngx_http_atls_filter_raw(r, inner->post);
    }

    if (ngx_http_atls_inner_ends(inner)) {
        r->keepalive = 0;
    }

    /*
     * Core would make an absolute redirect of the scheme and the port that the
     * outer connection has come to.  It leaves alone what it does not know to
     * be a Location.
     */

    if (r->headers_out.location && r->headers_out.location->value.len
        && r->headers_out.location->value.data[0] == '/')
    {
        r->headers_out.location = NULL;
    }

    /*
     * A worker that is told to quit says "Connection: close" to its clients.
     * An inner connection ends with its POST anyway, its session does not.
     */

    exiting = ngx_exiting;
    ngx_exiting = 0;

    rc = ngx_http_next_header_filter(r);

    ngx_exiting = exiting;

    return rc;
}


/*
 * Is it an answer of an endpoint?  Core's own are, from wherever they come: a
 * cache on the path could give them to other clients.  A request that is
 * refused before its location is known, or has been taken to another one by
 * "error_page", is told by its type or by a mark.
 */

static ngx_uint_t
ngx_http_atls_filter_outer(ngx_http_request_t *r)
{
    ngx_http_cleanup_t         *cln;
    ngx_http_atls_loc_conf_t   *alcf;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atls_module);

    if (r != r->main || amcf->zone == NULL) {
        return 0;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    if (alcf->enable || ngx_http_atls_media_type(r)) {
        return 1;
    }

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_atls_filter_marked) {
            return 1;
        }
    }

    return 0;
}


/* And nothing else, whatever "expires" and "add_header" say of responses. */

static ngx_int_t
ngx_http_atls_filter_set_no_store(ngx_http_request_t *r)
{
    ngx_str_t         value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    part = &r->headers_out.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if ((header[i].key.len == sizeof("Cache-Control") - 1
             && ngx_strncasecmp(header[i].key.data, (u_char *) "Cache-Control",
                                header[i].key.len)
                == 0)
            || (header[i].key.len == sizeof("Expires") - 1
                && ngx_strncasecmp(header[i].key.data, (u_char *) "Expires",
                                   header[i].key.len)
                   == 0))
        {
            header[i].hash = 0;
        }
    }

    ngx_str_set(&value, "no-store");

    return ngx_http_atls_add_header(r, "Cache-Control", &value);
}


ngx_int_t
ngx_http_atls_filter_no_store(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_atls_filter_marked;

    return NGX_OK;
}


/* Only to be found: it lasts as long as the request, unlike its context. */

static void
ngx_http_atls_filter_marked(void *data)
{
    /* void */
}


/*
 * Of the response to a raw payload only the body is for the client, and only
 * if it is a 2xx.  An HTTP/0.9 response has a body and nothing else.
 */

static void
ngx_http_atls_filter_raw(ngx_http_request_t *r, ngx_http_atls_post_t *post)
{
    if (post && (r->headers_out.status < NGX_HTTP_OK
                 || r->headers_out.status >= NGX_HTTP_SPECIAL_RESPONSE))
    {
        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "atls %08xD raw payload refused: %ui", post->label,
                       r->headers_out.status);

        post->bad_gateway = 1;
    }

    r->http_version = NGX_HTTP_VERSION_9;
    r->keepalive = 0;
}


static ngx_int_t
ngx_http_atls_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_uint_t              last;
    ngx_chain_t            *cl;
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_inner_get(r->connection);

    if (inner == NULL || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    last = 0;

    for (cl = in; cl; cl = cl->next) {
        last |= cl->buf->last_buf;
    }

    if (last && inner->raw) {

        /*
         * The response to a raw payload has no length: nothing else tells a
         * broken one from a whole one.
         */

        inner->raw->answered = 1;
    }

    if (last && (!r->keepalive || ngx_exiting || ngx_terminate)) {

        /* core may linger on the connection now, and is to see its end */

        ngx_http_atls_inner_readable(inner);
    }

    return ngx_http_next_body_filter(r, in);
}
