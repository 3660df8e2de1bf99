
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_file.h"
#include "ngx_http_atls_store_conf.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>


#define NGX_HTTP_ATLS_STORE_PORT      6379
#define NGX_HTTP_ATLS_STORE_TIMEOUT   200
#define NGX_HTTP_ATLS_STORE_PASSWORD  512      /* the longest one */


static ngx_http_atls_store_t *ngx_http_atls_store_create(ngx_conf_t *cf,
    ngx_http_atls_main_conf_t *amcf);
static char *ngx_http_atls_store_parse(ngx_conf_t *cf,
    ngx_http_atls_store_t *store, ngx_str_t *value);
static char *ngx_http_atls_store_server(ngx_conf_t *cf,
    ngx_http_atls_store_t *store, ngx_url_t *u);
static char *ngx_http_atls_store_option(ngx_conf_t *cf,
    ngx_http_atls_store_t *store, ngx_str_t *value);
static char *ngx_http_atls_store_password(ngx_conf_t *cf,
    ngx_http_atls_store_t *store, ngx_str_t *name);
static ngx_int_t ngx_http_atls_store_derive(ngx_conf_t *cf, u_char *secret,
    const char *label, u_char *dst, size_t len);
static void ngx_http_atls_store_wipe(void *data);


static ngx_http_atls_store_t *
ngx_http_atls_store_create(ngx_conf_t *cf, ngx_http_atls_main_conf_t *amcf)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_atls_store_t  *store;

    if (amcf->store) {
        return amcf->store;
    }

    store = ngx_pcalloc(cf->pool, sizeof(ngx_http_atls_store_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (store == NULL || cln == NULL
        || ngx_array_init(&store->keys, cf->pool, 2,
                          sizeof(ngx_http_atls_store_key_t))
           != NGX_OK)
    {
        return NULL;
    }

    store->timeout = NGX_HTTP_ATLS_STORE_TIMEOUT;
    ngx_str_set(&store->prefix, "atls:");

    cln->handler = ngx_http_atls_store_wipe;
    cln->data = store;

    amcf->store = store;

    return store;
}


char *
ngx_http_atls_store_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t              *value;
    ngx_url_t               u;
    ngx_http_atls_store_t  *store;

    store = ngx_http_atls_store_create(cf, conf);
    if (store == NULL) {
        return NGX_CONF_ERROR;
    }

    if (store->node.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!ngx_http_atls_store_name_valid(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" of a node", &value[1]);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[2];
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs != 1
        || u.no_port || u.family == AF_UNIX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"%V\", use an IP address and a port",
                           u.err ? u.err : "no address", &value[2]);
        return NGX_CONF_ERROR;
    }

    store->node = value[1];
    store->address = value[2];

    return ngx_http_atls_store_number(&value[1], store->number) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


ngx_uint_t
ngx_http_atls_store_name_valid(ngx_str_t *name)
{
    u_char  *p, *last;

    last = name->data + name->len;

    for (p = name->data; p < last; p++) {
        if ((*p < 'a' || *p > 'z') && (*p < 'A' || *p > 'Z')
            && (*p < '0' || *p > '9') && *p != '-' && *p != '.' && *p != '_')
        {
            return 0;
        }
    }

    return name->len > 0 && name->len <= NGX_HTTP_ATLS_STORE_NODE_LEN;
}


ngx_int_t
ngx_http_atls_store_number(ngx_str_t *name, u_char *number)
{
    u_char  hash[EVP_MAX_MD_SIZE];

    if (EVP_Digest(name->data, name->len, hash, NULL, EVP_sha256(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(number, hash, NGX_HTTP_ATLS_TAG_LEN);

    return NGX_OK;
}


char *
ngx_http_atls_store_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                   *rv;
    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_http_atls_store_t  *store;

#if !(NGX_HTTP_ATLS_HIREDIS)

    return "is not supported: the module was built without hiredis";

#endif

    store = ngx_http_atls_store_create(cf, conf);
    if (store == NULL) {
        return NGX_CONF_ERROR;
    }

    if (store->url.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rv = ngx_http_atls_store_parse(cf, store, &value[1]);

    for (i = 2; i < cf->args->nelts && rv == NGX_CONF_OK; i++) {
        rv = ngx_http_atls_store_option(cf, store, &value[i]);
    }

    return rv;
}


/* redis://[user@]host[:port][/database], or redis://unix:path[:/database] */

static char *
ngx_http_atls_store_parse(ngx_conf_t *cf, ngx_http_atls_store_t *store,
    ngx_str_t *value)
{
    u_char     *p;
    ngx_int_t   n;
    ngx_url_t   u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *value;
    u.default_port = NGX_HTTP_ATLS_STORE_PORT;
    u.uri_part = 1;

    if (value->len > 8 && ngx_strncmp(value->data, "redis://", 8) == 0) {
        u.url.data += 8;
        u.url.len -= 8;

    } else if (value->len <= 5 || ngx_strncmp(value->data, "unix:", 5) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\" of a store, use \"redis://\"",
                           value);
        return NGX_CONF_ERROR;
    }

    p = ngx_strlchr(u.url.data, u.url.data + u.url.len, '@');

    if (p) {
        store->user.data = u.url.data;
        store->user.len = p - u.url.data;

        u.url.len -= p + 1 - u.url.data;
        u.url.data = p + 1;
    }

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in the store \"%V\"",
                           u.err ? u.err : "no address", value);
        return NGX_CONF_ERROR;
    }

    if (u.uri.len > 1) {
        n = ngx_atoi(u.uri.data + 1, u.uri.len - 1);

        if (n == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid database in the store \"%V\"", value);
            return NGX_CONF_ERROR;
        }

        store->database = n;
    }

    store->url = *value;

    return ngx_http_atls_store_server(cf, store, &u);
}


/* The address is zero-terminated, for hiredis. */

static char *
ngx_http_atls_store_server(ngx_conf_t *cf, ngx_http_atls_store_t *store,
    ngx_url_t *u)
{
    u_char       *p;
    ngx_addr_t   *addr;

#if (NGX_HAVE_UNIX_DOMAIN)
    struct sockaddr_un  *saun;
#endif

    addr = u->addrs;

    p = ngx_pnalloc(cf->pool, NGX_SOCKADDR_STRLEN + 1);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    store->host.data = p;

#if (NGX_HAVE_UNIX_DOMAIN)

    if (addr->sockaddr->sa_family == AF_UNIX) {
        saun = (struct sockaddr_un *) addr->sockaddr;

        store->host.len = ngx_strlen(saun->sun_path);
        ngx_cpystrn(p, (u_char *) saun->sun_path, NGX_SOCKADDR_STRLEN + 1);

        return NGX_CONF_OK;
    }

#endif

    store->port = ngx_inet_get_port(addr->sockaddr);
    store->host.len = ngx_sock_ntop(addr->sockaddr, addr->socklen, p,
                                    NGX_SOCKADDR_STRLEN, 0);
    p[store->host.len] = '\0';

    if (p[0] == '[') {

        /* hiredis does not know the brackets of IPv6 */

        p[store->host.len - 1] = '\0';
        store->host.data++;
        store->host.len -= 2;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_atls_store_option(ngx_conf_t *cf, ngx_http_atls_store_t *store,
    ngx_str_t *value)
{
    ngx_int_t  n;
    ngx_str_t  s;

    if (ngx_strcmp(value->data, "lazy") == 0) {
        store->each = 0;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value->data, "each") == 0) {
        store->each = 1;
        return NGX_CONF_OK;
    }

    if (value->len > 7 && ngx_strncmp(value->data, "prefix=", 7) == 0) {
        store->prefix.data = value->data + 7;
        store->prefix.len = value->len - 7;
        return NGX_CONF_OK;
    }

    s.data = value->data;
    s.len = value->len;

    if (value->len > 8 && ngx_strncmp(value->data, "timeout=", 8) == 0) {
        s.data += 8;
        s.len -= 8;

        n = ngx_parse_time(&s, 0);

        if (n > 0) {
            store->timeout = n;
            return NGX_CONF_OK;
        }

    } else if (value->len > 14
               && ngx_strncmp(value->data, "password_file=", 14) == 0)
    {
        s.data += 14;
        s.len -= 14;

        return ngx_http_atls_store_password(cf, store, &s);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"", value);

    return NGX_CONF_ERROR;
}


/* The first line of the file. */

static char *
ngx_http_atls_store_password(ngx_conf_t *cf, ngx_http_atls_store_t *store,
    ngx_str_t *name)
{
    u_char   *p, buf[NGX_HTTP_ATLS_STORE_PASSWORD];
    ssize_t   n;

    n = ngx_http_atls_file_read(cf, name, buf, sizeof(buf));
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    for (p = buf; p < buf + n && *p != LF && *p != CR; p++) { /* void */ }

    store->password.len = p - buf;
    store->password.data = ngx_pcalloc(cf->pool, p - buf + 1);

    if (store->password.data) {
        ngx_memcpy(store->password.data, buf, p - buf);
    }

    ngx_explicit_memzero(buf, sizeof(buf));

    return store->password.data ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_atls_store_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char                      secret[NGX_HTTP_ATLS_STORE_KEY_LEN + 1];
    ssize_t                     n;
    ngx_str_t                  *value;
    ngx_int_t                   rc;
    ngx_http_atls_store_t      *store;
    ngx_http_atls_store_key_t  *key;

    store = ngx_http_atls_store_create(cf, conf);
    if (store == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    n = ngx_http_atls_file_read(cf, &value[1], secret, sizeof(secret));

    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (n != NGX_HTTP_ATLS_STORE_KEY_LEN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must be %d bytes", &value[1],
                           NGX_HTTP_ATLS_STORE_KEY_LEN);
        ngx_explicit_memzero(secret, sizeof(secret));
        return NGX_CONF_ERROR;
    }

    key = ngx_array_push(&store->keys);

    if (key == NULL) {
        ngx_explicit_memzero(secret, sizeof(secret));
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_atls_store_derive(cf, secret, "atls store name", key->name,
                                    sizeof(key->name));
    rc |= ngx_http_atls_store_derive(cf, secret, "atls store seal", key->seal,
                                     sizeof(key->seal));
    rc |= ngx_http_atls_store_derive(cf, secret, "atls store tag", key->tag,
                                     sizeof(key->tag));

    ngx_explicit_memzero(secret, sizeof(secret));

    return rc == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* Each key is used for one purpose: HMAC as a PRF, with a label. */

static ngx_int_t
ngx_http_atls_store_derive(ngx_conf_t *cf, u_char *secret, const char *label,
    u_char *dst, size_t len)
{
    u_char  md[EVP_MAX_MD_SIZE];

    if (HMAC(EVP_sha256(), secret, NGX_HTTP_ATLS_STORE_KEY_LEN,
             (u_char *) label, ngx_strlen(label), md, NULL)
        == NULL)
    {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0, "HMAC() failed");
        return NGX_ERROR;
    }

    ngx_memcpy(dst, md, len);
    ngx_explicit_memzero(md, sizeof(md));

    return NGX_OK;
}


static void
ngx_http_atls_store_wipe(void *data)
{
    ngx_http_atls_store_t *store = data;

    ngx_explicit_memzero(store->keys.elts,
                         store->keys.nelts * store->keys.size);

    if (store->password.len) {
        ngx_explicit_memzero(store->password.data, store->password.len);
    }
}


ngx_int_t
ngx_http_atls_store_conf_check(ngx_conf_t *cf)
{
    const char                 *missing;
    ngx_http_atls_zone_t       *z;
    ngx_http_atls_store_t      *store;
    ngx_http_atls_store_key_t  *key;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);
    store = amcf->store;

    if (store == NULL) {
        return NGX_OK;
    }

    missing = store->url.len == 0 ? "atls_store"
              : store->keys.nelts == 0 ? "atls_store_key"
              : store->node.len == 0 ? "atls_node"
              : store->peer == NULL ? "atls_peer" : NULL;

    if (missing) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" is missing: a store requires \"atls_node\", "
                      "\"atls_store\", \"atls_store_key\" and a location with "
                      "\"atls_peer\"", missing);
        return NGX_ERROR;
    }

    if (amcf->zone) {
        z = amcf->zone->data;
        key = store->keys.elts;

        z->tag_key = key->tag;
        z->number = store->number;
    }

    return NGX_OK;
}
