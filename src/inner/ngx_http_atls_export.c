
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_derive.h"
#include "trl_export.h"
#include "ngx_http_atls_export.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_io.h"


/* Several keys.  The TLS 1.3 limit is 255 hashes, TLS 1.2 has no limit. */

#define NGX_HTTP_ATLS_EXPORT_MAX        1024

#define NGX_HTTP_ATLS_EXPORT_LABEL      "application-layer-tls"


typedef struct {
    ngx_str_t                  label;
    u_char                    *context;    /* NULL: none; TLS 1.2 distinguishes
                                              it from an empty one */
    size_t                     length;
    ngx_uint_t                 hex;        /* 0: base64 */
} ngx_http_atls_export_t;


static char *ngx_http_atls_export_add(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_atls_export_t *export);
static ngx_int_t ngx_http_atls_export_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atls_export_encode(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_http_atls_export_t *export,
    u_char *material);


static ngx_str_t  ngx_http_atls_exporter_name = ngx_string("atls_exporter");


/* RFC 9266, section 2 */

static ngx_http_atls_export_t  ngx_http_atls_exporter = {
    ngx_string("EXPORTER-Channel-Binding"), (u_char *) "", 32, 0
};


ngx_int_t
ngx_http_atls_export_init(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &ngx_http_atls_exporter_name,
                                NGX_HTTP_VAR_CHANGEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_atls_export_variable;
    var->data = (uintptr_t) &ngx_http_atls_exporter;

    return NGX_OK;
}


/* atls_export name [label] length [base64|hex] */

char *
ngx_http_atls_export(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                length;
    ngx_str_t               *value, *last;
    ngx_http_atls_export_t  *export;

    export = ngx_pcalloc(cf->pool, sizeof(ngx_http_atls_export_t));
    if (export == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    last = &value[cf->args->nelts - 1];

    if (last > &value[2]) {

        if (ngx_strcmp(last->data, "hex") == 0) {
            export->hex = 1;
            last--;

        } else if (ngx_strcmp(last->data, "base64") == 0) {
            last--;

        } else if (last == &value[4]) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid encoding \"%V\"", last);
            return NGX_CONF_ERROR;
        }
    }

    length = ngx_atoi(last->data, last->len);

    if (length < 1 || length > NGX_HTTP_ATLS_EXPORT_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid length \"%V\", "
                           "must be between 1 and %d", last,
                           NGX_HTTP_ATLS_EXPORT_MAX);
        return NGX_CONF_ERROR;
    }

    export->length = length;

    if (last == &value[3]) {
        export->label = value[2];

    } else {
        ngx_str_set(&export->label, NGX_HTTP_ATLS_EXPORT_LABEL);
    }

    if (export->label.len == 0 || export->label.len > TRL_MAX_LABEL
        || trl_label_reserved((char *) export->label.data, export->label.len))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid label \"%V\": empty, too long, or reserved "
                           "by TLS", &export->label);
        return NGX_CONF_ERROR;
    }

    return ngx_http_atls_export_add(cf, &value[1], export);
}


static char *
ngx_http_atls_export_add(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_atls_export_t *export)
{
    u_char                c;
    size_t                i;
    ngx_str_t             name;
    ngx_http_variable_t  *var;

    name = *value;

    if (name.len && name.data[0] == '$') {
        name.len--;
        name.data++;
    }

    for (i = 0; i < name.len; i++) {
        c = name.data[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
            && (c < '0' || c > '9') && c != '_')
        {
            break;
        }
    }

    if (name.len == 0 || i < name.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid variable name \"%V\"", value);
        return NGX_CONF_ERROR;
    }

    var = ngx_http_add_variable(cf, &name, 0);
    if (var == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the variable may already exist; our own ones are changeable */

    if (var->get_handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the duplicate \"%V\" variable", &name);
        return NGX_CONF_ERROR;
    }

    var->get_handler = ngx_http_atls_export_variable;
    var->data = (uintptr_t) export;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_atls_export_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atls_export_t *export = (ngx_http_atls_export_t *) data;

    u_char                  material[NGX_HTTP_ATLS_EXPORT_MAX];
    ngx_int_t               rc;
    const trl_state_t      *state;
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_inner_get(r->connection);
    state = inner ? ngx_http_atls_inner_state(inner) : NULL;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls export, label:\"%V\", length:%uz, session:%d",
                   &export->label, export->length, state != NULL);

    if (state == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    /*
     * RFC 7627, section 5.4, also required by RFC 9266: otherwise, an attacker
     * in the middle may have two sessions with the same keying material.
     */

    if (!state->extended_master) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls keying material is not exported from a TLS 1.2 "
                      "session without extended master secret");
        v->not_found = 1;
        return NGX_OK;
    }

    if (trl_export(state, (char *) export->label.data, export->label.len,
                   export->context, 0, material, export->length)
        == 0)
    {
        rc = ngx_http_atls_export_encode(r, v, export, material);

    } else {
        ngx_ssl_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "atls keying material export failed");
        rc = NGX_ERROR;
    }

    ngx_explicit_memzero(material, export->length);

    return rc;
}


static ngx_int_t
ngx_http_atls_export_encode(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_http_atls_export_t *export,
    u_char *material)
{
    size_t     size;
    ngx_str_t  src, dst;

    size = export->hex ? 2 * export->length
                       : ngx_base64_encoded_length(export->length);

    dst.len = size;
    dst.data = ngx_pnalloc(r->pool, size);
    if (dst.data == NULL) {
        return NGX_ERROR;
    }

    if (export->hex) {
        ngx_hex_dump(dst.data, material, export->length);

    } else {
        src.len = export->length;
        src.data = material;

        ngx_encode_base64(&dst, &src);
    }

    v->len = dst.len;
    v->data = dst.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
