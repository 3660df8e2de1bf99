
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_pinned.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_resource.h"
#include "ngx_http_atls_zone.h"
#include "ngx_http_atls_ssl.h"
#include "ngx_http_atls_handler.h"
#include "ngx_http_atls_location.h"
#include "ngx_http_atls_relay.h"


char *
ngx_http_atls_location_enable(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_atls_loc_conf_t  *outer;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_http_atls_ssl_on(cf)) {
        ngx_http_atls_note_log(NGX_LOG_EMERG, cf, conf, "atls",
                               "\"atls\" in location \"%V\" cannot be used "
                               "with \"ssl on\", use \"listen ... ssl\"",
                               &clcf->name);
        return NGX_CONF_ERROR;
    }

    for (outer = conf->outer; outer; outer = outer->outer) {
        outer->used = 1;
    }

    if (ngx_http_atls_zone_default(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    conf->pinned = ngx_http_atls_pinned(cf);

    conf->content_handler = clcf->handler;
    clcf->handler = ngx_http_atls_handler;

    if (conf->payload == NGX_HTTP_ATLS_PAYLOAD_RAW && !conf->pinned) {
        ngx_http_atls_note_log(NGX_LOG_EMERG, cf, conf, "atls_payload",
                               "\"atls_payload raw\" requires a content "
                               "handler, such as \"proxy_pass\", in location "
                               "\"%V\"",
                               &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->payload == NGX_HTTP_ATLS_PAYLOAD_RAW && conf->exported_keys) {
        ngx_http_atls_note_log(NGX_LOG_EMERG, cf, conf, "atls_exported_keys",
                               "\"atls_exported_keys\" requires "
                               "\"atls_payload http\" in location \"%V\"",
                               &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->cors && !(conf->tracking & NGX_HTTP_ATLS_TRACKING_LOCATION)) {
        ngx_http_atls_note_log(NGX_LOG_EMERG, cf, conf, "atls_cors",
                               "\"atls_cors\" requires "
                               "\"atls_session_tracking location\" or \"both\" "
                               "in location \"%V\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (!conf->pinned) {
        ngx_http_atls_pinned_warn(cf, conf);
    }

    if (ngx_http_atls_cookie_conf(cf, &conf->cookie) != NGX_OK
        || ngx_http_atls_resource_conf(cf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_atls_endpoint_add(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_atls_ssl_create(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_atls_relay_conf(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * "if" and "limit_except" blocks are parts of their location.  The directives
 * are not allowed in them, so their values are those of the location.
 */

char *
ngx_http_atls_location_block(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    ngx_http_atls_loc_conf_t *conf, ngx_http_atls_loc_conf_t *prev)
{
    ngx_http_core_loc_conf_t   **block;
    ngx_http_atls_main_conf_t   *amcf;

    *conf = *prev;

    if (!conf->enable) {
        return NGX_CONF_OK;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    block = ngx_array_push(&amcf->blocks);
    if (block == NULL) {
        return NGX_CONF_ERROR;
    }

    *block = clcf;

    return NGX_CONF_OK;
}


/*
 * Content handlers of blocks are set when they are merged, partly by modules
 * merged after this one.  As in core, an "if" block without a handler uses
 * that of the location; a "limit_except" block does not.
 */

void
ngx_http_atls_location_take_blocks(ngx_conf_t *cf)
{
    ngx_uint_t                   i;
    ngx_http_core_loc_conf_t   **block;
    ngx_http_atls_loc_conf_t    *alcf;
    ngx_http_atls_main_conf_t   *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    block = amcf->blocks.elts;

    for (i = 0; i < amcf->blocks.nelts; i++) {

        alcf = block[i]->loc_conf[ngx_http_atls_module.ctx_index];

        if (block[i]->handler || block[i]->lmt_excpt) {
            alcf->content_handler = block[i]->handler;
        }

        block[i]->handler = ngx_http_atls_handler;
    }
}


/*
 * If "events" is before "http", the check is done when the configuration is
 * read; otherwise, only in worker processes.
 */

ngx_int_t
ngx_http_atls_location_check_events(ngx_conf_t *cf)
{
    ngx_event_conf_t           *ecf;
    ngx_http_atls_endpoint_t   *endpoint;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    if (amcf->endpoints.nelts == 0
        || ngx_get_conf(cf->cycle->conf_ctx, ngx_events_module) == NULL)
    {
        return NGX_OK;
    }

    ecf = ngx_event_get_conf(cf->cycle->conf_ctx, ngx_event_core_module);

    if (ngx_strcmp(ecf->name, "epoll") == 0
        || ngx_strcmp(ecf->name, "kqueue") == 0)
    {
        return NGX_OK;
    }

    endpoint = amcf->endpoints.elts;

    ngx_http_atls_note_log(NGX_LOG_EMERG, cf,
                           endpoint->loc_conf[ngx_http_atls_module.ctx_index],
                           "atls",
                           "\"atls\" requires the \"epoll\" or \"kqueue\" "
                           "event method, not \"%s\",", ecf->name);

    return NGX_ERROR;
}
