
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_proxy.h"
#include "ngx_http_atls_relay_mail.h"


#define NGX_HTTP_ATLS_RELAY_MAIL_VERSION  1
#define NGX_HTTP_ATLS_RELAY_MAIL_FIELDS   11


static u_char *ngx_http_atls_relay_mail_write_addr(u_char *p,
    ngx_sockaddr_t *sockaddr, socklen_t socklen);
static ngx_int_t ngx_http_atls_relay_mail_split(ngx_str_t *text,
    ngx_str_t *fields);
static ngx_int_t ngx_http_atls_relay_mail_read_endpoint(ngx_str_t *text,
    uint64_t *id);
static ngx_int_t ngx_http_atls_relay_mail_read_addr(ngx_str_t *text,
    ngx_sockaddr_t *sockaddr, socklen_t *socklen, ngx_pool_t *pool);
static ngx_int_t ngx_http_atls_relay_mail_read_proxy(ngx_str_t *text,
    ngx_http_atls_mail_t *mail, ngx_pool_t *pool);


ngx_int_t
ngx_http_atls_relay_mail(ngx_http_request_t *r, uint64_t home,
    ngx_http_atls_mail_t *mail)
{
    ngx_connection_t          *c;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_atls_loc_conf_t  *alcf;

    c = r->connection;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(mail, offsetof(ngx_http_atls_mail_t, proxy));

    mail->endpoint = alcf->endpoint;
    mail->home = home;

#if (NGX_HTTP_SSL)
    mail->secure = (c->ssl != NULL);
#endif

    /* upstream only limits the rate of buffered responses */

    mail->limit_rate = r->limit_rate_set ? r->limit_rate
                       : ngx_http_complex_value_size(r, clcf->limit_rate, 0);
    mail->limit_rate_after = r->limit_rate_after_set ? r->limit_rate_after
                   : ngx_http_complex_value_size(r, clcf->limit_rate_after, 0);

    if (c->log->log_level & NGX_LOG_DEBUG_CONNECTION) {
        mail->log_level = c->log->log_level;
    }

    mail->socklen = ngx_min(c->socklen, (socklen_t) sizeof(ngx_sockaddr_t));
    ngx_memcpy(&mail->sockaddr, c->sockaddr, mail->socklen);

    mail->local_socklen = ngx_min(c->local_socklen,
                                  (socklen_t) sizeof(ngx_sockaddr_t));
    ngx_memcpy(&mail->local_sockaddr, c->local_sockaddr, mail->local_socklen);

    mail->listen_socklen = ngx_min(c->listening->socklen,
                                   (socklen_t) sizeof(ngx_sockaddr_t));
    ngx_memcpy(&mail->listen_sockaddr, c->listening->sockaddr,
               mail->listen_socklen);
    mail->listen_type = c->listening->type;

    if (c->proxy_protocol) {
        mail->proxy_size = ngx_http_atls_proxy_size(c->proxy_protocol);

        if (mail->proxy_size > NGX_HTTP_ATLS_PROXY_SIZE) {
            ngx_log_error(NGX_LOG_ALERT, c->log, 0,
                          "atls PROXY protocol header of %uz bytes",
                          mail->proxy_size);
            return NGX_ERROR;
        }

        ngx_http_atls_proxy_write(&mail->proxy.protocol, c->proxy_protocol);
    }

    return NGX_OK;
}


/*
 * The fields: the version, both endpoints, whether the client uses TLS, the
 * rate limits, the type of the listening socket, the addresses, and PROXY
 * protocol data or "-".
 */

ngx_int_t
ngx_http_atls_relay_mail_write(ngx_http_atls_mail_t *mail, ngx_pool_t *pool,
    ngx_str_t *text)
{
    u_char                    *p;
    ngx_str_t                  proxy, dst;
    ngx_http_atls_endpoint_t  *endpoint, *home;

    endpoint = ngx_http_atls_endpoint_get(ngx_cycle, mail->endpoint);
    home = ngx_http_atls_endpoint_get(ngx_cycle, mail->home);

    p = ngx_pnalloc(pool, NGX_HTTP_ATLS_RELAY_MAIL_FIELDS * (NGX_INT64_LEN + 1)
                          + 3 * NGX_SOCKADDR_STRLEN
                          + ngx_base64_encoded_length(mail->proxy_size));

    if (endpoint == NULL || home == NULL || p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    p = ngx_sprintf(p, "%d %016xL %016xL %ui %uz %uz %d ",
                    NGX_HTTP_ATLS_RELAY_MAIL_VERSION,
                    (int64_t) endpoint->portable, (int64_t) home->portable,
                    mail->secure, mail->limit_rate, mail->limit_rate_after,
                    mail->listen_type);

    p = ngx_http_atls_relay_mail_write_addr(p, &mail->sockaddr, mail->socklen);
    p = ngx_http_atls_relay_mail_write_addr(p, &mail->local_sockaddr,
                                            mail->local_socklen);
    p = ngx_http_atls_relay_mail_write_addr(p, &mail->listen_sockaddr,
                                            mail->listen_socklen);

    if (mail->proxy_size == 0) {
        *p++ = '-';

    } else {
        proxy.data = mail->proxy.data;
        proxy.len = mail->proxy_size;
        dst.data = p;

        ngx_encode_base64url(&dst, &proxy);
        p += dst.len;
    }

    text->len = p - text->data;

    return NGX_OK;
}


/* The path of a unix socket means nothing on another machine. */

static u_char *
ngx_http_atls_relay_mail_write_addr(u_char *p, ngx_sockaddr_t *sockaddr,
    socklen_t socklen)
{
    if (sockaddr->sockaddr.sa_family == AF_UNIX) {
        p = ngx_cpymem(p, "unix:", 5);

    } else {
        p += ngx_sock_ntop(&sockaddr->sockaddr, socklen, p,
                           NGX_SOCKADDR_STRLEN, 1);
    }

    *p++ = ' ';

    return p;
}


ngx_int_t
ngx_http_atls_relay_mail_read(ngx_str_t *text, ngx_pool_t *pool,
    ngx_http_atls_mail_t *mail)
{
    ngx_int_t  after, rate, type, version;
    ngx_str_t  fields[NGX_HTTP_ATLS_RELAY_MAIL_FIELDS];

    ngx_memzero(mail, offsetof(ngx_http_atls_mail_t, proxy));

    if (ngx_http_atls_relay_mail_split(text, fields) != NGX_OK) {
        return NGX_ERROR;
    }

    version = ngx_atoi(fields[0].data, fields[0].len);
    rate = ngx_atoi(fields[4].data, fields[4].len);
    after = ngx_atoi(fields[5].data, fields[5].len);
    type = ngx_atoi(fields[6].data, fields[6].len);

    if (version != NGX_HTTP_ATLS_RELAY_MAIL_VERSION
        || rate == NGX_ERROR || after == NGX_ERROR || type == NGX_ERROR
        || ngx_http_atls_relay_mail_read_endpoint(&fields[1], &mail->endpoint)
           != NGX_OK
        || ngx_http_atls_relay_mail_read_endpoint(&fields[2], &mail->home)
           != NGX_OK
        || ngx_http_atls_relay_mail_read_addr(&fields[7], &mail->sockaddr,
                                              &mail->socklen, pool)
           != NGX_OK
        || ngx_http_atls_relay_mail_read_addr(&fields[8],
                                              &mail->local_sockaddr,
                                              &mail->local_socklen, pool)
           != NGX_OK
        || ngx_http_atls_relay_mail_read_addr(&fields[9],
                                              &mail->listen_sockaddr,
                                              &mail->listen_socklen, pool)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    mail->peer = 1;
    mail->secure = (fields[3].data[0] == '1');
    mail->limit_rate = rate;
    mail->limit_rate_after = after;
    mail->listen_type = (int) type;

    return ngx_http_atls_relay_mail_read_proxy(&fields[10], mail, pool);
}


static ngx_int_t
ngx_http_atls_relay_mail_split(ngx_str_t *text, ngx_str_t *fields)
{
    u_char      *p, *last;
    ngx_uint_t   n;

    p = text->data;
    last = p + text->len;

    for (n = 0; n < NGX_HTTP_ATLS_RELAY_MAIL_FIELDS; n++) {
        fields[n].data = p;

        while (p < last && *p != ' ') {
            p++;
        }

        fields[n].len = p - fields[n].data;

        if (fields[n].len == 0) {
            return NGX_ERROR;
        }

        p++;
    }

    return p > last ? NGX_OK : NGX_ERROR;
}


/* The same endpoint here, which may have other addresses. */

static ngx_int_t
ngx_http_atls_relay_mail_read_endpoint(ngx_str_t *text, uint64_t *id)
{
    u_char                     c;
    uint64_t                   portable;
    ngx_uint_t                 i;
    ngx_http_atls_endpoint_t  *endpoint;

    portable = 0;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return NGX_ERROR;
        }

        portable = (portable << 4) + (c <= '9' ? c - '0' : c - 'a' + 10);
    }

    endpoint = ngx_http_atls_endpoint_portable(portable);
    if (endpoint == NULL) {
        return NGX_ERROR;
    }

    *id = endpoint->id;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_relay_mail_read_addr(ngx_str_t *text, ngx_sockaddr_t *sockaddr,
    socklen_t *socklen, ngx_pool_t *pool)
{
    ngx_addr_t  addr;

    if (text->len == 5 && ngx_strncmp(text->data, "unix:", 5) == 0) {
        ngx_memzero(sockaddr, sizeof(ngx_sockaddr_t));

        sockaddr->sockaddr.sa_family = AF_UNIX;
        *socklen = sizeof(struct sockaddr);

        return NGX_OK;
    }

    if (ngx_parse_addr_port(pool, &addr, text->data, text->len) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(sockaddr, addr.sockaddr, addr.socklen);
    *socklen = addr.socklen;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_relay_mail_read_proxy(ngx_str_t *text,
    ngx_http_atls_mail_t *mail, ngx_pool_t *pool)
{
    ngx_str_t  dst;

    if (text->data[0] == '-' && text->len == 1) {
        return NGX_OK;
    }

    dst.data = ngx_pnalloc(pool, ngx_base64_decoded_length(text->len));

    if (dst.data == NULL || ngx_decode_base64url(&dst, text) != NGX_OK
        || dst.len > NGX_HTTP_ATLS_PROXY_SIZE)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(mail->proxy.data, dst.data, dst.len);
    mail->proxy_size = dst.len;

    return NGX_OK;
}
