
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"


typedef ngx_int_t (*ngx_http_atls_variable_pt)(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);


static ngx_int_t ngx_http_atls_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atls_variable_on(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_protocol(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_cipher(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_server_name(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_session_id(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_session_requests(
    ngx_http_request_t *r, ngx_http_atls_inner_t *inner, ngx_str_t *value);

static ngx_int_t ngx_http_atls_variables_secure(ngx_conf_t *cf);
static ngx_int_t ngx_http_atls_variable_secure(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_atls_vars[] = {

    { ngx_string("atls"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_on, NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_protocol"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_protocol,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_cipher"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_cipher, NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_server_name"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_server_name,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_session_id"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_session_id,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_session_requests"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_session_requests,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

      ngx_http_null_variable
};


/*
 * Core takes these from the connection's SSL object, which an inner connection
 * has none of.
 */

typedef struct {
    ngx_str_t                    name;
    ngx_str_t                    value;
} ngx_http_atls_secure_t;


static ngx_http_atls_secure_t  ngx_http_atls_secure[] = {
    { ngx_string("scheme"), ngx_string("https") },
    { ngx_string("https"), ngx_string("on") },
    { ngx_null_string, ngx_null_string }
};


/* What was there before, for all other requests. */

typedef struct {
    ngx_str_t                   *value;
    ngx_http_get_variable_pt     get_handler;
    uintptr_t                    data;
} ngx_http_atls_wrapped_t;


ngx_int_t
ngx_http_atls_variables_init(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_atls_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return ngx_http_atls_variables_secure(cf);
}


static ngx_int_t
ngx_http_atls_variables_secure(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_hash_key_t             *key;
    ngx_http_variable_t        *v;
    ngx_http_atls_secure_t     *secure;
    ngx_http_atls_wrapped_t    *wrapped;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    key = cmcf->variables_keys->keys.elts;

    for (secure = ngx_http_atls_secure; secure->name.len; secure++) {

        for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {

            if (key[i].key.len != secure->name.len
                || ngx_strncmp(key[i].key.data, secure->name.data,
                               secure->name.len)
                   != 0)
            {
                continue;
            }

            v = key[i].value;

            wrapped = ngx_palloc(cf->pool, sizeof(ngx_http_atls_wrapped_t));
            if (wrapped == NULL) {
                return NGX_ERROR;
            }

            wrapped->value = &secure->value;
            wrapped->get_handler = v->get_handler;
            wrapped->data = v->data;

            v->get_handler = ngx_http_atls_variable_secure;
            v->data = (uintptr_t) wrapped;

            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_secure(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atls_wrapped_t  *wrapped = (ngx_http_atls_wrapped_t *) data;

    if (ngx_http_atls_inner_get(r->connection) == NULL) {
        return wrapped->get_handler(r, v, wrapped->data);
    }

    v->len = wrapped->value->len;
    v->data = wrapped->value->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_http_atls_variable_pt  handler = (ngx_http_atls_variable_pt) data;

    ngx_str_t               value;
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_inner_get(r->connection);

    ngx_str_null(&value);

    if (inner && handler(r, inner, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = value.len;
    v->data = value.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_on(ngx_http_request_t *r, ngx_http_atls_inner_t *inner,
    ngx_str_t *value)
{
    ngx_str_set(value, "on");

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_protocol(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    if (inner->info.protocol == ATLS_TLSv1_3) {
        ngx_str_set(value, "TLSv1.3");

    } else {
        ngx_str_set(value, "TLSv1.2");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_cipher(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    const char  *name;

    name = ngx_http_atls_ssl_cipher_name(inner->conf->ssl, inner->info.suite);

    if (name) {
        value->data = (u_char *) name;
        value->len = ngx_strlen(name);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_server_name(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    *value = inner->info.sni;

    return NGX_OK;
}


/*
 * Tells sessions apart in logs without giving away their cookies, which let
 * anybody end them.
 */

static ngx_int_t
ngx_http_atls_variable_session_id(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    u_char  hash[EVP_MAX_MD_SIZE];

    if (EVP_Digest(inner->info.id, NGX_HTTP_ATLS_ID_LEN, hash, NULL,
                   EVP_sha256(), NULL)
        != 1)
    {
        ngx_ssl_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "EVP_Digest() failed");
        return NGX_ERROR;
    }

    value->len = 2 * NGX_HTTP_ATLS_ID_LEN;
    value->data = ngx_pnalloc(r->pool, value->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ngx_hex_dump(value->data, hash, NGX_HTTP_ATLS_ID_LEN);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_session_requests(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    value->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "%uL", inner->info.requests)
                 - value->data;

    return NGX_OK;
}
