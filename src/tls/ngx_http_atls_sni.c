
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_listening.h"
#include "ngx_http_atls_sni.h"


/* Format of the extension: list length, name type, name length. */

#define NGX_HTTP_ATLS_SNI_HEADER  5


static ngx_int_t ngx_http_atls_sni_normalize(ngx_str_t *name, u_char *buf);
static ngx_http_core_srv_conf_t *ngx_http_atls_sni_server(
    ngx_http_virtual_names_t *names, ngx_str_t *host, ngx_log_t *log);
static ngx_uint_t ngx_http_atls_sni_valid(const u_char *name, size_t len);


/*
 * Nobody on the path may choose the server or the location of inner requests,
 * so they do not depend on which of the endpoints that share sessions gets the
 * POST.
 */

void
ngx_http_atls_sni_target(ngx_http_request_t *r, ngx_http_atls_loc_conf_t *conf,
    ngx_http_atls_target_t *target)
{
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    target->names = r->http_connection->addr_conf->virtual_names;

    if (conf->server != cscf) {
        target->names = ngx_http_atls_listening_choose(&conf->addrs,
                                                       target->names);
    }

    target->server = conf->server;
    target->named = 0;
    target->other = 0;

    /* the POST may be in a block of the location, such as "limit_except" */

    target->conf = conf->loc_conf[ngx_http_atls_module.ctx_index];
    target->tls = target->conf;
    target->srv_conf = conf->server->ctx->srv_conf;
    target->loc_conf = conf->loc_conf;
}


void
ngx_http_atls_sni_select(ngx_http_atls_target_t *target, ngx_str_t *name,
    ngx_log_t *log)
{
    u_char                     buf[TLSEXT_MAXLEN_host_name];
    ngx_str_t                  host;
    ngx_http_core_srv_conf_t  *server;
    ngx_http_atls_endpoint_t  *endpoint;
    ngx_http_atls_loc_conf_t  *alcf;

    host = *name;

    if (target->names == NULL
        || ngx_http_atls_sni_normalize(&host, buf) != NGX_OK)
    {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0,
                       "atls target: server of the POST, \"%V\" not looked up",
                       name);
        return;
    }

    server = ngx_http_atls_sni_server(target->names, &host, log);

    if (server == NULL) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0,
                       "atls target: server of the POST, no server \"%V\"",
                       &host);
        return;
    }

    target->named = 1;

    if (server == target->server) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0,
                       "atls target: server of the POST, named \"%V\"",
                       &host);
        return;
    }

    target->server = server;
    target->other = 1;

    endpoint = ngx_http_atls_endpoint_find(server, target->conf->location);

    if (endpoint) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0,
                       "atls target: endpoint of server \"%V\"",
                       &server->server_name);

        target->conf = endpoint->loc_conf[ngx_http_atls_module.ctx_index];
        target->tls = target->conf;
        target->srv_conf = server->ctx->srv_conf;
        target->loc_conf = endpoint->loc_conf;

        return;
    }

    alcf = server->ctx->loc_conf[ngx_http_atls_module.ctx_index];

    if (alcf->ssl) {
        target->tls = alcf;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls target: server \"%V\" without the endpoint, "
                   "certificate:%d", &server->server_name, alcf->ssl != NULL);
}


/* Like the processing of the Host header in core. */

static ngx_int_t
ngx_http_atls_sni_normalize(ngx_str_t *name, u_char *buf)
{
    if (name->len && name->data[name->len - 1] == '.') {
        name->len--;
    }

    if (name->len == 0 || name->len > TLSEXT_MAXLEN_host_name) {
        return NGX_DECLINED;
    }

    ngx_strlow(buf, name->data, name->len);
    name->data = buf;

    return NGX_OK;
}


static ngx_http_core_srv_conf_t *
ngx_http_atls_sni_server(ngx_http_virtual_names_t *names, ngx_str_t *host,
    ngx_log_t *log)
{
    ngx_http_core_srv_conf_t  *server;

    server = ngx_hash_find_combined(&names->names,
                                    ngx_hash_key(host->data, host->len),
                                    host->data, host->len);

#if (NGX_PCRE)

    if (server == NULL) {
        ngx_int_t                n;
        ngx_uint_t               i;
        ngx_http_server_name_t  *sn;

        sn = names->regex;

        for (i = 0; i < names->nregex; i++) {

            n = ngx_regex_exec(sn[i].regex->regex, host, NULL, 0);

            if (n >= 0) {
                return sn[i].server;
            }

            if (n != NGX_REGEX_NO_MATCHED) {
                ngx_log_error(NGX_LOG_ALERT, log, 0,
                              ngx_regex_exec_n " failed: %i on \"%V\" "
                              "using \"%V\"",
                              n, host, &sn[i].regex->name);
                return NULL;
            }
        }
    }

#endif

    return server;
}


ngx_http_core_srv_conf_t *
ngx_http_atls_sni_find(ngx_http_virtual_names_t *names, ngx_str_t *name,
    ngx_log_t *log)
{
    u_char     buf[TLSEXT_MAXLEN_host_name];
    ngx_str_t  host;

    host = *name;

    if (ngx_http_atls_sni_normalize(&host, buf) != NGX_OK) {
        return NULL;
    }

    return ngx_http_atls_sni_server(names, &host, log);
}


ngx_int_t
ngx_http_atls_sni_client_hello(ngx_ssl_conn_t *ssl, ngx_str_t *name)
{
    size_t                len;
    const unsigned char  *p;

    ngx_str_null(name);

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &len)
        == 0)
    {
        return NGX_OK;
    }

    /* OpenSSL, which parses the extension later, requires a single name */

    if (len <= NGX_HTTP_ATLS_SNI_HEADER
        || (size_t) (p[0] << 8) + p[1] + 2 != len
        || p[2] != TLSEXT_NAMETYPE_host_name
        || (size_t) (p[3] << 8) + p[4] + NGX_HTTP_ATLS_SNI_HEADER != len)
    {
        return NGX_ERROR;
    }

    p += NGX_HTTP_ATLS_SNI_HEADER;
    len -= NGX_HTTP_ATLS_SNI_HEADER;

    if (len > TLSEXT_MAXLEN_host_name || !ngx_http_atls_sni_valid(p, len)) {
        return NGX_ERROR;
    }

    name->len = len;
    name->data = (u_char *) p;

    return NGX_OK;
}


/*
 * The name is used in headers, URLs and logs, as the value of a variable.  So
 * it must be a valid host as in RFC 3986 (section 3.2.2) and in core's check
 * of the Host header, in ASCII (RFC 6066, section 3) and without empty
 * labels.  Some clients send IPv6 addresses, with colons and brackets.
 */

static ngx_uint_t
ngx_http_atls_sni_valid(const u_char *name, size_t len)
{
    u_char      ch, c;
    size_t      i;
    ngx_uint_t  dot;

    dot = 1;

    for (i = 0; i < len; i++) {
        ch = name[i];

        if (ch == '.') {

            if (dot) {
                return 0;
            }

            dot = 1;
            continue;
        }

        dot = 0;

        c = ch | 0x20;

        if ((c >= 'a' && c <= 'z') || (ch >= '0' && ch <= '9')) {
            continue;
        }

        if (ch == '\0' || ngx_strchr("-_~!$&'()*+,;=%:[]", ch) == NULL) {
            return 0;
        }
    }

    return len != 0;
}
