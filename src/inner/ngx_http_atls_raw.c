
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_stream_plaintext.h"
#include "ngx_http_atls_raw.h"


static ngx_int_t ngx_http_atls_raw_uri(ngx_pool_t *pool,
    ngx_http_atls_post_t *post, ngx_str_t *uri);
static ngx_str_t ngx_http_atls_raw_location(ngx_http_atls_loc_conf_t *alcf);


ngx_http_atls_raw_t *
ngx_http_atls_raw_create(ngx_pool_t *pool, ngx_http_atls_post_t *post)
{
    u_char               *p;
    ngx_str_t             host, uri;
    ngx_http_atls_raw_t  *raw;

    raw = ngx_pcalloc(pool, sizeof(ngx_http_atls_raw_t));
    if (raw == NULL) {
        return NULL;
    }

    ngx_http_atls_raw_host(post->request, &host);

    if (ngx_http_atls_raw_uri(pool, post, &uri) != NGX_OK) {
        return NULL;
    }

    raw->head.data = ngx_pnalloc(pool,
                                 sizeof("POST  HTTP/1.1" CRLF
                                        "Host: " CRLF
                                        "Content-Type: "
                                        "application/octet-stream" CRLF
                                        "Transfer-Encoding: chunked" CRLF CRLF)
                                 + uri.len + host.len);
    if (raw->head.data == NULL) {
        return NULL;
    }

    p = ngx_sprintf(raw->head.data,
                    "POST %V HTTP/1.1" CRLF
                    "Host: %V" CRLF
                    "Content-Type: application/octet-stream" CRLF
                    "Transfer-Encoding: chunked" CRLF CRLF,
                    &uri, &host);

    raw->head.len = p - raw->head.data;

    return raw;
}


/*
 * The URI of a session would disclose its identifier to the service, and that
 * of another endpoint is not one of the location.
 */

static ngx_int_t
ngx_http_atls_raw_uri(ngx_pool_t *pool, ngx_http_atls_post_t *post,
    ngx_str_t *uri)
{
    u_char     *p;
    ngx_str_t   name, *args;

    name = post->home->uri;
    args = &post->request->args;

    if (post->home->endpoint != post->conf->endpoint) {
        name = ngx_http_atls_raw_location(post->home);

    } else if (name.len == 0) {
        *uri = post->request->unparsed_uri;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, name.len + 1 + args->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    uri->data = p;
    uri->len = ngx_sprintf(p, "%V%s%V", &name, args->len ? "?" : "", args) - p;

    return NGX_OK;
}


/* The name of a location, if it is a URI. */

static ngx_str_t
ngx_http_atls_raw_location(ngx_http_atls_loc_conf_t *alcf)
{
    ngx_uint_t                 regex;
    ngx_http_core_loc_conf_t  *clcf;

    static ngx_str_t  root = ngx_string("/");

    clcf = alcf->loc_conf[ngx_http_core_module.ctx_index];

#if (NGX_PCRE)
    regex = (clcf->regex != NULL);
#else
    regex = 0;
#endif

    return (regex || clcf->named || clcf->name.len == 0) ? root
                                                         : clcf->escaped_name;
}


void
ngx_http_atls_raw_host(ngx_http_request_t *outer, ngx_str_t *host)
{
    ngx_http_core_srv_conf_t  *cscf;

    *host = outer->headers_in.server;

    if (host->len) {
        return;
    }

    cscf = ngx_http_get_module_srv_conf(outer, ngx_http_core_module);
    *host = cscf->server_name;

    if (host->len == 0 || host->data[0] == '~') {
        ngx_str_set(host, "localhost");
    }
}


ssize_t
ngx_http_atls_raw_recv(ngx_http_atls_raw_t *raw, ngx_http_atls_post_t *post,
    u_char *buf, size_t size)
{
    u_char     *p, *data;
    size_t      len;
    ngx_int_t   rc;

    for ( ;; ) {

        if (raw->head.len) {
            len = ngx_min(size, raw->head.len);
            ngx_memcpy(buf, raw->head.data, len);

            raw->head.data += len;
            raw->head.len -= len;

            return len;
        }

        if (raw->ended) {
            return 0;
        }

        rc = ngx_http_atls_stream_plaintext(post, &data, &len);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc != NGX_OK && rc != NGX_DONE) {
            return NGX_ERROR;
        }

        if (raw->chunk) {
            len = ngx_min(size, raw->chunk);

            ngx_memcpy(buf, data, len);
            ngx_http_atls_stream_take(post, len);

            raw->chunk -= len;

            return len;
        }

        p = raw->framing;

        if (raw->begun) {
            p = ngx_cpymem(p, CRLF, sizeof(CRLF) - 1);
        }

        if (rc == NGX_DONE) {
            p = ngx_cpymem(p, "0" CRLF CRLF, sizeof("0" CRLF CRLF) - 1);
            raw->ended = 1;

        } else {
            p = ngx_sprintf(p, "%xz" CRLF, len);
            raw->chunk = len;
            raw->begun = 1;

            ngx_log_debug2(NGX_LOG_DEBUG_HTTP,
                           post->request->connection->log, 0,
                           "atls %08xD raw chunk: %uz", post->label, len);
        }

        raw->head.data = raw->framing;
        raw->head.len = p - raw->framing;
    }
}
