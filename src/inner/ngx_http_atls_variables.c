
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "atls_state.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_ssl.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_variables.h"


typedef ngx_int_t (*ngx_http_atls_variable_pt)(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);


static ngx_int_t ngx_http_atls_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_atls_variable_set(ngx_http_variable_value_t *v,
    ngx_str_t *value);
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
static ngx_int_t ngx_http_atls_variable_curve(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_alpn_protocol(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_session_reused(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_session_time(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_early_data(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_client_cert(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_client_escaped_cert(
    ngx_http_request_t *r, ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_client_cert_rfc9440(
    ngx_http_request_t *r, ngx_http_atls_inner_t *inner, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_pem(ngx_http_request_t *r,
    ngx_str_t *der, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_identity(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

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

    { ngx_string("atls_curve"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_curve,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_alpn_protocol"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_alpn_protocol,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_session_reused"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_session_reused,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_session_time"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_session_time,
      NGX_HTTP_VAR_CHANGEABLE|NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atls_early_data"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_early_data,
      NGX_HTTP_VAR_CHANGEABLE|NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("atls_client_cert"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_client_cert,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_client_escaped_cert"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_client_escaped_cert,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_client_cert_rfc9440"), NULL, ngx_http_atls_variable,
      (uintptr_t) ngx_http_atls_variable_client_cert_rfc9440,
      NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_client_verify"), NULL, ngx_http_atls_variable_identity,
      NGX_HTTP_ATLS_IDENTITY_VERIFY, NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_client_s_dn"), NULL, ngx_http_atls_variable_identity,
      NGX_HTTP_ATLS_IDENTITY_S_DN, NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_client_i_dn"), NULL, ngx_http_atls_variable_identity,
      NGX_HTTP_ATLS_IDENTITY_I_DN, NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_client_serial"), NULL, ngx_http_atls_variable_identity,
      NGX_HTTP_ATLS_IDENTITY_SERIAL, NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_client_fingerprint"), NULL,
      ngx_http_atls_variable_identity,
      NGX_HTTP_ATLS_IDENTITY_FINGERPRINT, NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_client_v_start"), NULL, ngx_http_atls_variable_identity,
      NGX_HTTP_ATLS_IDENTITY_V_START, NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_client_v_end"), NULL, ngx_http_atls_variable_identity,
      NGX_HTTP_ATLS_IDENTITY_V_END, NGX_HTTP_VAR_CHANGEABLE, 0 },

    { ngx_string("atls_psk_identity"), NULL, ngx_http_atls_variable_identity,
      NGX_HTTP_ATLS_IDENTITY_PSK, NGX_HTTP_VAR_CHANGEABLE, 0 },

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

    ngx_http_atls_variable_set(v, wrapped->value);

    return NGX_OK;
}


/* An empty value is none. */

static void
ngx_http_atls_variable_set(ngx_http_variable_value_t *v, ngx_str_t *value)
{
    if (value->len == 0) {
        v->not_found = 1;
        return;
    }

    v->len = value->len;
    v->data = value->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
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

    ngx_http_atls_variable_set(v, &value);

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

    name = ngx_http_atls_ssl_cipher_name(inner->target.tls->ssl,
                                         inner->info.suite);

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


static ngx_int_t
ngx_http_atls_variable_curve(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    const char  *name;

    if (inner->info.group == 0) {
        return NGX_OK;
    }

    name = atls_group_name(inner->info.group);

    if (name) {
        value->data = (u_char *) name;
        value->len = ngx_strlen(name);
        return NGX_OK;
    }

    value->data = ngx_pnalloc(r->pool, sizeof("0x0000") - 1);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "0x%04xd", inner->info.group)
                 - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_alpn_protocol(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    *value = *ngx_http_atls_ssl_alpn_name(inner->info.alpn);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_session_reused(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    if (inner->info.reused) {
        ngx_str_set(value, "r");

    } else {
        ngx_str_set(value, ".");
    }

    return NGX_OK;
}


/* Since the ClientHello, as $connection_time. */

static ngx_int_t
ngx_http_atls_variable_session_time(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    int64_t  ms;

    value->data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ms = ngx_http_atls_clock() - inner->info.created;

    value->len = ngx_sprintf(value->data, "%T.%03M", (time_t) (ms / 1000),
                             (ngx_msec_t) (ms % 1000))
                 - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_early_data(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    if (inner->early) {
        ngx_str_set(value, "1");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_identity(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               value;
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_inner_get(r->connection);

    ngx_str_null(&value);

    if (inner) {
        value = inner->info.identity.fields[data];

        if (value.len == 0 && data == NGX_HTTP_ATLS_IDENTITY_VERIFY) {
            ngx_str_set(&value, "NONE");
        }
    }

    ngx_http_atls_variable_set(v, &value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_pem(ngx_http_request_t *r, ngx_str_t *der,
    ngx_str_t *value)
{
    BIO        *bio;
    u_char     *data;
    ngx_int_t   rc;

    rc = NGX_ERROR;

    bio = BIO_new(BIO_s_mem());

    if (bio == NULL
        || PEM_write_bio(bio, PEM_STRING_X509, "", der->data, der->len) <= 0)
    {
        ngx_ssl_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "PEM_write_bio() failed");
        goto done;
    }

    value->len = BIO_get_mem_data(bio, &data);
    value->data = ngx_pnalloc(r->pool, value->len);

    if (value->data) {
        ngx_memcpy(value->data, data, value->len);
        rc = NGX_OK;
    }

done:

    BIO_free(bio);

    return rc;
}


/* As $ssl_client_cert: a tab begins each line but the first. */

static ngx_int_t
ngx_http_atls_variable_client_cert(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    u_char     *p;
    size_t      i, lines;
    ngx_str_t  *der, pem;

    der = &inner->info.identity.fields[NGX_HTTP_ATLS_IDENTITY_CERT];

    if (der->len == 0) {
        return NGX_OK;
    }

    if (ngx_http_atls_variable_pem(r, der, &pem) != NGX_OK) {
        return NGX_ERROR;
    }

    /* without the last line feed */

    pem.len--;
    lines = 0;

    for (i = 0; i < pem.len; i++) {
        if (pem.data[i] == LF) {
            lines++;
        }
    }

    p = ngx_pnalloc(r->pool, pem.len + lines);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = pem.len + lines;

    for (i = 0; i < pem.len; i++) {
        *p++ = pem.data[i];

        if (pem.data[i] == LF) {
            *p++ = '\t';
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_client_escaped_cert(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    uintptr_t   n;
    ngx_str_t  *der, pem;

    der = &inner->info.identity.fields[NGX_HTTP_ATLS_IDENTITY_CERT];

    if (der->len == 0) {
        return NGX_OK;
    }

    if (ngx_http_atls_variable_pem(r, der, &pem) != NGX_OK) {
        return NGX_ERROR;
    }

    n = ngx_escape_uri(NULL, pem.data, pem.len, NGX_ESCAPE_URI_COMPONENT);

    value->len = pem.len + n * 2;
    value->data = ngx_pnalloc(r->pool, value->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ngx_escape_uri(value->data, pem.data, pem.len, NGX_ESCAPE_URI_COMPONENT);

    return NGX_OK;
}


/* The Client-Cert header of RFC 9440: DER as a byte sequence of RFC 8941. */

static ngx_int_t
ngx_http_atls_variable_client_cert_rfc9440(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, ngx_str_t *value)
{
    ngx_str_t  *der, base64;

    der = &inner->info.identity.fields[NGX_HTTP_ATLS_IDENTITY_CERT];

    if (der->len == 0) {
        return NGX_OK;
    }

    value->data = ngx_pnalloc(r->pool, ngx_base64_encoded_length(der->len) + 2);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->data[0] = ':';

    base64.data = &value->data[1];
    ngx_encode_base64(&base64, der);

    base64.data[base64.len] = ':';
    value->len = base64.len + 2;

    return NGX_OK;
}
