
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_pinned.h"


static ngx_uint_t ngx_http_atls_pinned_handler(ngx_http_core_loc_conf_t *clcf);
static ngx_uint_t ngx_http_atls_pinned_return(ngx_conf_t *cf,
    void **loc_conf);
static ngx_uint_t ngx_http_atls_pinned_shadows(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf);
static ngx_uint_t ngx_http_atls_pinned_others(ngx_queue_t *locations);


ngx_uint_t
ngx_http_atls_pinned(ngx_conf_t *cf)
{
    ngx_http_conf_ctx_t       *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    ctx = cf->ctx;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    return ngx_http_atls_pinned_handler(clcf)
           || ngx_http_atls_pinned_return(cf, ctx->loc_conf);
}


/* Checks the location and its blocks. */

static ngx_uint_t
ngx_http_atls_pinned_handler(ngx_http_core_loc_conf_t *clcf)
{
    ngx_queue_t                *q;
    ngx_http_location_queue_t  *lq;

    if (clcf->handler) {
        return 1;
    }

    if (clcf->locations == NULL) {
        return 0;
    }

    for (q = ngx_queue_head(clcf->locations);
         q != ngx_queue_sentinel(clcf->locations);
         q = ngx_queue_next(q))
    {
        lq = (ngx_http_location_queue_t *) q;

        if (lq->exact && lq->exact->noname
            && ngx_http_atls_pinned_handler(lq->exact))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * "return" is not a content handler, but responds like one.  Its code is among
 * those of the rewrite module: the first member of the module's configuration
 * is the array of codes.
 */

static ngx_uint_t
ngx_http_atls_pinned_return(ngx_conf_t *cf, void **loc_conf)
{
    ngx_uint_t      i;
    uintptr_t      *code;
    ngx_array_t   **codes;
    ngx_module_t  **modules;

    codes = NULL;

    /* nginx may be built without the rewrite module */

    for (modules = cf->cycle->modules; *modules; modules++) {
        if (ngx_strcmp((*modules)->name, "ngx_http_rewrite_module") == 0) {
            codes = loc_conf[(*modules)->ctx_index];
            break;
        }
    }

    if (codes == NULL || *codes == NULL) {
        return 0;
    }

    code = (*codes)->elts;

    for (i = 0; i < (*codes)->nelts / sizeof(uintptr_t); i++) {
        if (code[i] == (uintptr_t) ngx_http_script_return_code) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_atls_pinned_warn(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf, *outer;

    clcf = conf->loc_conf[ngx_http_core_module.ctx_index];
    outer = conf->outer->loc_conf[ngx_http_core_module.ctx_index];

    /* core is merged before: a different root is set in the location */

    if (clcf->root.data != outer->root.data) {
        ngx_http_atls_note_log(NGX_LOG_WARN, cf, conf, "atls",
                               "\"%s\" has no effect in location \"%V\" with "
                               "\"atls on\" and no content handler: inner "
                               "requests for it get 404",
                               clcf->alias ? "alias" : "root", &clcf->name);
        return;
    }

    if (ngx_http_atls_pinned_shadows(cf, clcf)) {
        ngx_http_atls_note_log(NGX_LOG_WARN, cf, conf, "atls",
                               "all inner requests for the server get 404: its "
                               "only location \"%V\" has \"atls on\" and no "
                               "content handler, such as \"proxy_pass\",",
                               &clcf->name);
    }
}


/* Whether no location in the server can process inner requests. */

static ngx_uint_t
ngx_http_atls_pinned_shadows(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_http_core_loc_conf_t  *pclcf;
    ngx_http_core_srv_conf_t  *cscf;

    if (clcf->name.len != 1 || clcf->name.data[0] != '/'
        || clcf->exact_match)
    {
        return 0;
    }

#if (NGX_PCRE)
    if (clcf->regex) {
        return 0;
    }
#endif

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    pclcf = cscf->ctx->loc_conf[ngx_http_core_module.ctx_index];

    return !ngx_http_atls_pinned_return(cf, cscf->ctx->loc_conf)
           && !ngx_http_atls_pinned_others(pclcf->locations);
}


/* Locations not merged yet only have their explicit settings. */

static ngx_uint_t
ngx_http_atls_pinned_others(ngx_queue_t *locations)
{
    ngx_queue_t                *q;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_location_queue_t  *lq;
    ngx_http_atls_loc_conf_t   *alcf;

    if (locations == NULL) {
        return 0;
    }

    for (q = ngx_queue_head(locations);
         q != ngx_queue_sentinel(locations);
         q = ngx_queue_next(q))
    {
        lq = (ngx_http_location_queue_t *) q;

        clcf = lq->exact ? lq->exact : lq->inclusive;

        if (clcf->named || clcf->noname) {
            continue;
        }

        alcf = clcf->loc_conf[ngx_http_atls_module.ctx_index];

        if (alcf->enable != 1 || ngx_http_atls_pinned_others(clcf->locations))
        {
            return 1;
        }
    }

    return 0;
}
