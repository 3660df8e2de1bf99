
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_id.h"
#include "ngx_http_atls_resource.h"


static ngx_uint_t ngx_http_atls_resource_prefix(ngx_http_core_loc_conf_t *clcf);


ngx_int_t
ngx_http_atls_resource_conf(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (!(conf->tracking & NGX_HTTP_ATLS_TRACKING_LOCATION)) {
        return NGX_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!ngx_http_atls_resource_prefix(clcf)) {
        ngx_http_atls_note_log(NGX_LOG_EMERG, cf, conf, "atls_session_tracking",
                               "\"atls_session_tracking\" requires a prefix "
                               "location for URIs of sessions, location \"%V\" "
                               "is none,", &clcf->name);
        return NGX_ERROR;
    }

    conf->uri = clcf->escaped_name;
    conf->uri_len = clcf->name.len;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_atls_resource_prefix(ngx_http_core_loc_conf_t *clcf)
{
#if (NGX_PCRE)
    if (clcf->regex) {
        return 0;
    }
#endif

    return !clcf->exact_match && !clcf->named && clcf->name.len
           && clcf->name.data[0] == '/';
}


/*
 * The URI begins with the name of the location; on some systems, in any case.
 * The slash after it is a part of the name or of the rest; the endpoint itself
 * may have none.
 */

ngx_uint_t
ngx_http_atls_resource_find(ngx_http_request_t *r,
    ngx_http_atls_loc_conf_t *conf, ngx_str_t *text)
{
    u_char  *p, *last;

    p = r->uri.data + conf->uri_len;
    last = r->uri.data + r->uri.len;

    if (p == last) {
        return 0;
    }

    if (p > last || (p[-1] != '/' && *p++ != '/')) {

        /* longer than the name, but not by a segment; or changed by a module */

        *text = r->uri;
        return 1;
    }

    text->data = p;
    text->len = last - p;

    return text->len != 0;
}


ngx_int_t
ngx_http_atls_resource_header(ngx_http_request_t *r,
    ngx_http_atls_loc_conf_t *conf, u_char *id, ngx_str_t *value)
{
    u_char                     *p;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atls_module);

    p = ngx_pnalloc(r->pool, conf->uri.len + 1 + NGX_HTTP_ATLS_ID_TEXT_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;

    p = ngx_cpymem(p, conf->uri.data, conf->uri.len);

    if (p[-1] != '/') {
        *p++ = '/';
    }

    value->len = p + NGX_HTTP_ATLS_ID_TEXT_LEN - value->data;

    return ngx_http_atls_id_encode(amcf->zone, id, NULL, p, r->connection->log);
}
