
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_dtls.h"


/* In microseconds; much longer than a handshake. */

#define NGX_HTTP_ATLS_DTLS_TIMER  3600000000u


static ngx_int_t ngx_http_atls_dtls_copy(SSL_CTX *from, SSL_CTX *to);
static unsigned int ngx_http_atls_dtls_timer(ngx_ssl_conn_t *ssl,
    unsigned int timer);


/* ngx_ssl_create() creates contexts of TLS only. */

ngx_int_t
ngx_http_atls_dtls_context(ngx_ssl_t *ssl)
{
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(DTLS_server_method());

    if (ctx == NULL) {
        ngx_ssl_error(NGX_LOG_EMERG, ssl->log, 0, "SSL_CTX_new() failed");
        return NGX_ERROR;
    }

    if (ngx_http_atls_dtls_copy(ssl->ctx, ctx) != NGX_OK
        || SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) != 1
        || SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION) != 1)
    {
        ngx_ssl_error(NGX_LOG_EMERG, ssl->log, 0, "SSL_CTX set-up failed");
        SSL_CTX_free(ctx);
        return NGX_ERROR;
    }

    SSL_CTX_free(ssl->ctx);
    ssl->ctx = ctx;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_dtls_copy(SSL_CTX *from, SSL_CTX *to)
{
    int          i;
    void        *data;
    static int   n = -1;

    /* options that disable a version of TLS also disable one of DTLS */

    SSL_CTX_set_options(to, (SSL_CTX_get_options(from)
                             & ~(uint64_t) SSL_OP_NO_DTLS_MASK)
                            |SSL_OP_NO_QUERY_MTU);

    SSL_CTX_set_mode(to, SSL_CTX_get_mode(from));
    SSL_CTX_set_info_callback(to, SSL_CTX_get_info_callback(from));

    /* nginx's data in contexts depend on its version: all are copied */

    if (n == -1) {
        n = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }

    for (i = 0; i < n; i++) {
        data = SSL_CTX_get_ex_data(from, i);

        if (data && SSL_CTX_set_ex_data(to, i, data) == 0) {
            return NGX_ERROR;
        }
    }

    return (n == -1) ? NGX_ERROR : NGX_OK;
}


/*
 * The server cannot send a flight again by itself: the client's POST has been
 * answered.  So OpenSSL must not do it when it is called again.  A flight is
 * sent again in response to one that the client has sent again.
 */

ngx_int_t
ngx_http_atls_dtls_connection(ngx_ssl_conn_t *ssl)
{
    if (SSL_set_mtu(ssl, NGX_HTTP_ATLS_DTLS_MTU) == 0) {
        return NGX_ERROR;
    }

    DTLS_set_timer_cb(ssl, ngx_http_atls_dtls_timer);

    return NGX_OK;
}


static unsigned int
ngx_http_atls_dtls_timer(ngx_ssl_conn_t *ssl, unsigned int timer)
{
    return NGX_HTTP_ATLS_DTLS_TIMER;
}
