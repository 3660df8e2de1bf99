
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_note.h"


static ngx_int_t ngx_http_atls_endpoint_hash(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, EVP_MD_CTX *md);
static ngx_int_t ngx_http_atls_endpoint_location(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, EVP_MD_CTX *md);
static ngx_uint_t ngx_http_atls_endpoint_regex(ngx_http_core_loc_conf_t *clcf,
    ngx_http_core_loc_conf_t *outer);
static ngx_int_t ngx_http_atls_endpoint_addrs(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, EVP_MD_CTX *md);
static ngx_int_t ngx_http_atls_endpoint_addr(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, ngx_array_t *strings,
    ngx_http_conf_addr_t *addr);
static ngx_int_t ngx_http_atls_endpoint_names(ngx_conf_t *cf, EVP_MD_CTX *md);
static ngx_int_t ngx_http_atls_endpoint_push(ngx_conf_t *cf,
    ngx_array_t *strings, u_char kind, ngx_str_t *s);
static ngx_int_t ngx_http_atls_endpoint_set(ngx_array_t *strings,
    EVP_MD_CTX *md);
static ngx_int_t ngx_http_atls_endpoint_cmp(const void *one,
    const void *two);
static ngx_int_t ngx_http_atls_endpoint_update(EVP_MD_CTX *md, void *data,
    size_t len);
static ngx_uint_t ngx_http_atls_endpoint_share(ngx_http_atls_loc_conf_t *one,
    ngx_http_atls_loc_conf_t *two);


ngx_int_t
ngx_http_atls_endpoint_add(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf)
{
    ngx_int_t                   rc;
    EVP_MD_CTX                 *md;
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_atls_endpoint_t   *endpoint, *same;
    ngx_http_atls_loc_conf_t   *alcf;
    ngx_http_atls_main_conf_t  *amcf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    alcf = cscf->ctx->loc_conf[ngx_http_atls_module.ctx_index];

    if (alcf->endpoints.elts == NULL
        && ngx_array_init(&alcf->endpoints, cf->pool, 1,
                          sizeof(ngx_http_atls_endpoint_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    endpoint = ngx_array_push(&amcf->endpoints);
    same = ngx_array_push(&alcf->endpoints);
    md = EVP_MD_CTX_new();

    if (endpoint == NULL || same == NULL || md == NULL
        || ngx_array_init(&conf->addrs, cf->pool, 1, sizeof(ngx_addr_t))
           != NGX_OK)
    {
        EVP_MD_CTX_free(md);
        return NGX_ERROR;
    }

    conf->server = cscf;

    rc = ngx_http_atls_endpoint_hash(cf, conf, md);

    if (rc != NGX_OK) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0, "SHA-256 failed");
    }

    EVP_MD_CTX_free(md);

    endpoint->id = conf->endpoint;
    endpoint->location = conf->location;
    endpoint->portable = conf->portable;
    endpoint->server = cscf;
    endpoint->loc_conf = conf->loc_conf;

    *same = *endpoint;

    return rc;
}


/*
 * A session belongs to the endpoint where it was created.  The id of an
 * endpoint is a hash of values that are unique to it and survive a reload: the
 * location, the addresses and all names of the server.
 */

static ngx_int_t
ngx_http_atls_endpoint_hash(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf,
    EVP_MD_CTX *md)
{
    u_char  hash[EVP_MAX_MD_SIZE], portable[EVP_MAX_MD_SIZE];

    if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1
        || ngx_http_atls_endpoint_location(cf, conf, md) != NGX_OK
        || EVP_DigestFinal_ex(md, hash, NULL) != 1)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(&conf->location, hash, sizeof(uint64_t));

    if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1
        || EVP_DigestUpdate(md, hash, EVP_MD_size(EVP_sha256())) != 1
        || ngx_http_atls_endpoint_names(cf, md) != NGX_OK
        || EVP_DigestFinal_ex(md, portable, NULL) != 1)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(&conf->portable, portable, sizeof(uint64_t));

    if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1
        || EVP_DigestUpdate(md, hash, EVP_MD_size(EVP_sha256())) != 1
        || ngx_http_atls_endpoint_addrs(cf, conf, md) != NGX_OK
        || ngx_http_atls_endpoint_names(cf, md) != NGX_OK
        || EVP_DigestFinal_ex(md, hash, NULL) != 1)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(&conf->endpoint, hash, sizeof(uint64_t));

    return NGX_OK;
}


/* Hashes modifiers and names of the enclosing locations first. */

static ngx_int_t
ngx_http_atls_endpoint_location(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf,
    EVP_MD_CTX *md)
{
    ngx_uint_t                 modifier;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    if (conf->loc_conf == cscf->ctx->loc_conf) {
        return NGX_OK;
    }

    if (ngx_http_atls_endpoint_location(cf, conf->outer, md) != NGX_OK) {
        return NGX_ERROR;
    }

    clcf = conf->loc_conf[ngx_http_core_module.ctx_index];

    if (clcf->exact_match) {
        modifier = '=';

    } else if (clcf->noregex) {
        modifier = '^';

    } else if (clcf->named) {
        modifier = '@';

    } else {
        modifier = ngx_http_atls_endpoint_regex(clcf,
                     conf->outer->loc_conf[ngx_http_core_module.ctx_index]);
    }

    if (EVP_DigestUpdate(md, &modifier, sizeof(ngx_uint_t)) != 1) {
        return NGX_ERROR;
    }

    return ngx_http_atls_endpoint_update(md, clcf->name.data, clcf->name.len);
}


/*
 * "~" and "~*" locations may have the same expression, and core does not store
 * the modifier.  They are distinguished by their order, which is significant
 * anyway.
 */

static ngx_uint_t
ngx_http_atls_endpoint_regex(ngx_http_core_loc_conf_t *clcf,
    ngx_http_core_loc_conf_t *outer)
{
    ngx_uint_t                  n;

#if (NGX_PCRE)

    ngx_queue_t                *q;
    ngx_http_location_queue_t  *lq;

    if (clcf->regex == NULL) {
        return 0;
    }

    n = 256;

    for (q = ngx_queue_head(outer->locations);
         q != ngx_queue_sentinel(outer->locations);
         q = ngx_queue_next(q))
    {
        lq = (ngx_http_location_queue_t *) q;

        if (lq->exact == clcf) {
            break;
        }

        if (lq->exact && lq->exact->regex
            && lq->exact->name.len == clcf->name.len
            && ngx_strncmp(lq->exact->name.data, clcf->name.data,
                           clcf->name.len)
               == 0)
        {
            n++;
        }
    }

#else

    n = 0;

#endif

    return n;
}


/* The hash does not depend on the order of "listen" directives and servers. */

static ngx_int_t
ngx_http_atls_endpoint_addrs(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf,
    EVP_MD_CTX *md)
{
    ngx_uint_t                   p, a, s;
    ngx_array_t                  strings;
    ngx_http_conf_port_t        *port;
    ngx_http_conf_addr_t        *addr;
    ngx_http_core_srv_conf_t   **servers;
    ngx_http_core_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (ngx_array_init(&strings, cf->temp_pool, 4, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    port = cmcf->ports->elts;

    for (p = 0; p < cmcf->ports->nelts; p++) {

        addr = port[p].addrs.elts;

        for (a = 0; a < port[p].addrs.nelts; a++) {

            servers = addr[a].servers.elts;

            for (s = 0; s < addr[a].servers.nelts; s++) {

                if (servers[s] == conf->server
                    && ngx_http_atls_endpoint_addr(cf, conf, &strings, &addr[a])
                       != NGX_OK)
                {
                    return NGX_ERROR;
                }
            }
        }
    }

    return ngx_http_atls_endpoint_set(&strings, md);
}


static ngx_int_t
ngx_http_atls_endpoint_addr(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf,
    ngx_array_t *strings, ngx_http_conf_addr_t *addr)
{
    u_char       kind;
    ngx_addr_t  *copy;

    copy = ngx_array_push(&conf->addrs);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    copy->sockaddr = addr->opt.sockaddr;
    copy->socklen = addr->opt.socklen;
    copy->name = addr->opt.addr_text;

    /* servers with the same names only differ in this */

    kind = (addr->opt.default_server && addr->default_server == conf->server)
           ? 'd' : ' ';

    return ngx_http_atls_endpoint_push(cf, strings, kind,
                                       &addr->opt.addr_text);
}


static ngx_int_t
ngx_http_atls_endpoint_names(ngx_conf_t *cf, EVP_MD_CTX *md)
{
    u_char                     kind;
    ngx_uint_t                 i;
    ngx_array_t                strings;
    ngx_http_server_name_t    *name;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    if (ngx_array_init(&strings, cf->temp_pool, 4, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = cscf->server_names.elts;

    for (i = 0; i < cscf->server_names.nelts; i++) {

        kind = ' ';

#if (NGX_PCRE)
        if (name[i].regex) {
            kind = '~';
        }
#endif

        if (ngx_http_atls_endpoint_push(cf, &strings, kind, &name[i].name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_atls_endpoint_set(&strings, md);
}


static ngx_int_t
ngx_http_atls_endpoint_push(ngx_conf_t *cf, ngx_array_t *strings, u_char kind,
    ngx_str_t *s)
{
    u_char     *p;
    ngx_str_t  *copy;

    copy = ngx_array_push(strings);
    p = ngx_pnalloc(cf->temp_pool, 1 + s->len);

    if (copy == NULL || p == NULL) {
        return NGX_ERROR;
    }

    copy->data = p;
    copy->len = 1 + s->len;

    *p++ = kind;
    ngx_memcpy(p, s->data, s->len);

    return NGX_OK;
}


/* Duplicates are skipped: an address may be used for both TCP and UDP. */

static ngx_int_t
ngx_http_atls_endpoint_set(ngx_array_t *strings, EVP_MD_CTX *md)
{
    ngx_str_t   *s;
    ngx_uint_t   i;

    s = strings->elts;

    ngx_sort(s, strings->nelts, sizeof(ngx_str_t), ngx_http_atls_endpoint_cmp);

    for (i = 0; i < strings->nelts; i++) {

        if (i && ngx_http_atls_endpoint_cmp(&s[i - 1], &s[i]) == 0) {
            continue;
        }

        if (ngx_http_atls_endpoint_update(md, s[i].data, s[i].len) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    /* the end of the set */

    return ngx_http_atls_endpoint_update(md, NULL, 0);
}


static ngx_int_t
ngx_http_atls_endpoint_cmp(const void *one, const void *two)
{
    const ngx_str_t *first = one;
    const ngx_str_t *second = two;

    return ngx_memn2cmp(first->data, second->data, first->len, second->len);
}


/* The length is included, so that parts are unambiguous. */

static ngx_int_t
ngx_http_atls_endpoint_update(EVP_MD_CTX *md, void *data, size_t len)
{
    if (EVP_DigestUpdate(md, &len, sizeof(size_t)) != 1
        || (len && EVP_DigestUpdate(md, data, len) != 1))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_http_atls_endpoint_t *
ngx_http_atls_endpoint_find(ngx_http_core_srv_conf_t *server,
    uint64_t location)
{
    ngx_uint_t                 i;
    ngx_http_atls_endpoint_t  *endpoint;
    ngx_http_atls_loc_conf_t  *alcf;

    alcf = server->ctx->loc_conf[ngx_http_atls_module.ctx_index];

    endpoint = alcf->endpoints.elts;

    for (i = 0; i < alcf->endpoints.nelts; i++) {
        if (endpoint[i].location == location) {
            return &endpoint[i];
        }
    }

    return NULL;
}


ngx_http_atls_endpoint_t *
ngx_http_atls_endpoint_get(volatile ngx_cycle_t *cycle, uint64_t id)
{
    ngx_uint_t                  i;
    ngx_http_atls_endpoint_t   *endpoint;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_atls_module);

    if (amcf == NULL) {
        return NULL;
    }

    endpoint = amcf->endpoints.elts;

    for (i = 0; i < amcf->endpoints.nelts; i++) {
        if (endpoint[i].id == id) {
            return &endpoint[i];
        }
    }

    return NULL;
}


ngx_http_atls_endpoint_t *
ngx_http_atls_endpoint_portable(uint64_t portable)
{
    ngx_uint_t                  i;
    ngx_http_atls_endpoint_t   *endpoint;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_atls_module);
    endpoint = amcf->endpoints.elts;

    for (i = 0; i < amcf->endpoints.nelts; i++) {
        if (endpoint[i].portable == portable) {
            return &endpoint[i];
        }
    }

    return NULL;
}


ngx_http_atls_loc_conf_t *
ngx_http_atls_endpoint_home(ngx_http_atls_loc_conf_t *conf, uint64_t id)
{
    ngx_http_atls_endpoint_t  *endpoint;
    ngx_http_atls_loc_conf_t  *home;

    if (conf->endpoint == id) {
        return conf;
    }

    if (conf->name.len == 0) {
        return NULL;
    }

    endpoint = ngx_http_atls_endpoint_get(ngx_cycle, id);

    if (endpoint == NULL) {
        return NULL;
    }

    home = endpoint->loc_conf[ngx_http_atls_module.ctx_index];

    return ngx_http_atls_endpoint_share(conf, home)
           && conf->policy == home->policy
           ? home : NULL;
}


static ngx_uint_t
ngx_http_atls_endpoint_share(ngx_http_atls_loc_conf_t *one,
    ngx_http_atls_loc_conf_t *two)
{
    return one->name.len && one->name.len == two->name.len
           && ngx_strncmp(one->name.data, two->name.data, one->name.len) == 0;
}


void
ngx_http_atls_endpoint_warn(ngx_conf_t *cf)
{
    ngx_uint_t                  i, j;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_atls_endpoint_t   *endpoint;
    ngx_http_atls_loc_conf_t   *alcf, *prev;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    endpoint = amcf->endpoints.elts;

    for (i = 1; i < amcf->endpoints.nelts; i++) {

        alcf = endpoint[i].loc_conf[ngx_http_atls_module.ctx_index];
        prev = NULL;

        for (j = 0; j < i; j++) {

            prev = endpoint[j].loc_conf[ngx_http_atls_module.ctx_index];

            if (ngx_http_atls_endpoint_share(alcf, prev)) {
                break;
            }
        }

        if (j == i || alcf->policy == prev->policy) {
            continue;
        }

        clcf = endpoint[j].loc_conf[ngx_http_core_module.ctx_index];

        ngx_http_atls_note_log(NGX_LOG_WARN, cf, alcf, "atls_endpoint",
                               "\"atls_endpoint %V\" does not share the "
                               "sessions of location \"%V\" in server \"%V\", "
                               "whose client verification differs,",
                               &alcf->name, &clcf->name,
                               &endpoint[j].server->server_name);
    }
}


void
ngx_http_atls_endpoint_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_atls_endpoint_t   *endpoint, *old;
    ngx_http_atls_loc_conf_t   *alcf, *prev;
    ngx_http_atls_main_conf_t  *amcf;

    /* the previous configuration may not contain the module */

    if (ngx_is_init_cycle(ngx_cycle)) {
        return;
    }

    for (i = 0; ngx_cycle->modules[i] != &ngx_http_atls_module; i++) {
        if (ngx_cycle->modules[i] == NULL) {
            return;
        }
    }

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_atls_module);

    endpoint = amcf->endpoints.elts;

    for (i = 0; i < amcf->endpoints.nelts; i++) {

        old = ngx_http_atls_endpoint_get(ngx_cycle, endpoint[i].id);
        if (old == NULL) {
            continue;
        }

        alcf = endpoint[i].loc_conf[ngx_http_atls_module.ctx_index];
        prev = old->loc_conf[ngx_http_atls_module.ctx_index];

        clcf = endpoint[i].loc_conf[ngx_http_core_module.ctx_index];

        if (!(alcf->tracking & prev->tracking)) {
            ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                          "atls_session_tracking of location \"%V\" in server "
                          "\"%V\" changed, its sessions are lost",
                          &clcf->name, &endpoint[i].server->server_name);
            continue;
        }

        if ((alcf->tracking & prev->tracking)
            != NGX_HTTP_ATLS_TRACKING_COOKIE)
        {
            continue;
        }

        if (alcf->cookie.name.len == prev->cookie.name.len
            && ngx_strncmp(alcf->cookie.name.data, prev->cookie.name.data,
                           alcf->cookie.name.len)
               == 0)
        {
            continue;
        }

        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "atls_cookie \"%V\" of location \"%V\" in server \"%V\" "
                      "renamed to \"%V\", its sessions are lost",
                      &prev->cookie.name, &clcf->name,
                      &endpoint[i].server->server_name, &alcf->cookie.name);
    }
}
