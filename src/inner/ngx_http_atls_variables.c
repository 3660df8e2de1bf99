
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_direct.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_ssl.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_variables.h"


/* The maximum length of printed values. */

#define NGX_HTTP_ATLS_VARIABLE_LEN  64


/* Sets the value for an inner request; an empty value is "not found". */

typedef ngx_int_t (*ngx_http_atls_variable_pt)(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, uintptr_t data, ngx_str_t *value);


typedef struct {
    ngx_str_t                    name;
    ngx_http_atls_variable_pt    handler;
    uintptr_t                    data;
    ngx_uint_t                   flags;
} ngx_http_atls_variable_t;


/* The same for the client of the request. */

typedef ngx_int_t (*ngx_http_atls_client_variable_pt)(ngx_http_request_t *r,
    ngx_http_atls_identity_t *identity, uintptr_t data, ngx_str_t *value);


typedef struct {
    ngx_str_t                          name;
    ngx_http_atls_client_variable_pt   handler;
    uintptr_t                          data;
} ngx_http_atls_client_variable_t;


/* Functions used as data of handlers; NULL: an error, or no value. */

typedef const char *(*ngx_http_atls_text_pt)(ngx_http_atls_inner_t *inner);
typedef u_char *(*ngx_http_atls_print_pt)(ngx_http_atls_inner_t *inner,
    u_char *p, u_char *last);
typedef ngx_int_t (*ngx_http_atls_encode_pt)(ngx_http_request_t *r,
    ngx_str_t *der, ngx_str_t *value);


/* A variable of core with a different value in inner requests. */

typedef struct {
    ngx_str_t                    name;
    ngx_str_t                    value;
} ngx_http_atls_secure_t;


/* The original handler, used for all other requests. */

typedef struct {
    ngx_str_t                   *value;
    ngx_http_get_variable_pt     get_handler;
    uintptr_t                    data;
} ngx_http_atls_wrapped_t;


static ngx_int_t ngx_http_atls_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_atls_variable_set(ngx_http_variable_value_t *v,
    ngx_str_t *value);

static ngx_int_t ngx_http_atls_variable_text(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, uintptr_t data, ngx_str_t *value);
static const char *ngx_http_atls_text_on(ngx_http_atls_inner_t *inner);
static const char *ngx_http_atls_text_protocol(ngx_http_atls_inner_t *inner);
static const char *ngx_http_atls_text_cipher(ngx_http_atls_inner_t *inner);
static const char *ngx_http_atls_text_alpn(ngx_http_atls_inner_t *inner);
static const char *ngx_http_atls_text_reused(ngx_http_atls_inner_t *inner);
static const char *ngx_http_atls_text_early(ngx_http_atls_inner_t *inner);

static ngx_int_t ngx_http_atls_variable_print(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, uintptr_t data, ngx_str_t *value);
static u_char *ngx_http_atls_print_id(ngx_http_atls_inner_t *inner, u_char *p,
    u_char *last);
static u_char *ngx_http_atls_print_requests(ngx_http_atls_inner_t *inner,
    u_char *p, u_char *last);
static u_char *ngx_http_atls_print_time(ngx_http_atls_inner_t *inner,
    u_char *p, u_char *last);
static u_char *ngx_http_atls_print_curve(ngx_http_atls_inner_t *inner,
    u_char *p, u_char *last);

static ngx_int_t ngx_http_atls_variable_str(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, uintptr_t data, ngx_str_t *value);

static ngx_int_t ngx_http_atls_variable_client(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atls_variable_field(ngx_http_request_t *r,
    ngx_http_atls_identity_t *identity, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_verify(ngx_http_request_t *r,
    ngx_http_atls_identity_t *identity, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_association(ngx_http_request_t *r,
    ngx_http_atls_identity_t *identity, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_http_atls_variable_cert(ngx_http_request_t *r,
    ngx_http_atls_identity_t *identity, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_http_atls_encode_pem(ngx_http_request_t *r,
    ngx_str_t *der, ngx_str_t *value);
static ngx_int_t ngx_http_atls_encode_tabs(ngx_http_request_t *r,
    ngx_str_t *der, ngx_str_t *value);
static ngx_int_t ngx_http_atls_encode_escaped(ngx_http_request_t *r,
    ngx_str_t *der, ngx_str_t *value);
static ngx_int_t ngx_http_atls_encode_rfc9440(ngx_http_request_t *r,
    ngx_str_t *der, ngx_str_t *value);

static ngx_int_t ngx_http_atls_variables_secure(ngx_conf_t *cf);
static ngx_int_t ngx_http_atls_variable_secure(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_atls_variable_t  ngx_http_atls_vars[] = {

    { ngx_string("atls"), ngx_http_atls_variable_text,
      (uintptr_t) ngx_http_atls_text_on, 0 },

    { ngx_string("atls_protocol"), ngx_http_atls_variable_text,
      (uintptr_t) ngx_http_atls_text_protocol, 0 },

    { ngx_string("atls_cipher"), ngx_http_atls_variable_text,
      (uintptr_t) ngx_http_atls_text_cipher, 0 },

    { ngx_string("atls_server_name"), ngx_http_atls_variable_str,
      offsetof(ngx_http_atls_inner_t, info.sni), 0 },

    { ngx_string("atls_session_id"), ngx_http_atls_variable_print,
      (uintptr_t) ngx_http_atls_print_id, 0 },

    { ngx_string("atls_session_requests"), ngx_http_atls_variable_print,
      (uintptr_t) ngx_http_atls_print_requests, 0 },

    { ngx_string("atls_curve"), ngx_http_atls_variable_print,
      (uintptr_t) ngx_http_atls_print_curve, 0 },

    { ngx_string("atls_alpn_protocol"), ngx_http_atls_variable_text,
      (uintptr_t) ngx_http_atls_text_alpn, 0 },

    { ngx_string("atls_session_reused"), ngx_http_atls_variable_text,
      (uintptr_t) ngx_http_atls_text_reused, 0 },

    { ngx_string("atls_session_time"), ngx_http_atls_variable_print,
      (uintptr_t) ngx_http_atls_print_time, NGX_HTTP_VAR_NOCACHEABLE },

    { ngx_string("atls_early_data"), ngx_http_atls_variable_text,
      (uintptr_t) ngx_http_atls_text_early, NGX_HTTP_VAR_NOCACHEABLE },

    { ngx_null_string, NULL, 0, 0 }
};


/* Of inner requests, and of TLS connections with an association. */

static ngx_http_atls_client_variable_t  ngx_http_atls_client_vars[] = {

    { ngx_string("atls_client_cert"), ngx_http_atls_variable_cert,
      (uintptr_t) ngx_http_atls_encode_tabs },

    { ngx_string("atls_client_escaped_cert"), ngx_http_atls_variable_cert,
      (uintptr_t) ngx_http_atls_encode_escaped },

    { ngx_string("atls_client_cert_rfc9440"), ngx_http_atls_variable_cert,
      (uintptr_t) ngx_http_atls_encode_rfc9440 },

    { ngx_string("atls_client_verify"), ngx_http_atls_variable_verify, 0 },

    { ngx_string("atls_client_s_dn"), ngx_http_atls_variable_field,
      NGX_HTTP_ATLS_IDENTITY_S_DN },

    { ngx_string("atls_client_i_dn"), ngx_http_atls_variable_field,
      NGX_HTTP_ATLS_IDENTITY_I_DN },

    { ngx_string("atls_client_serial"), ngx_http_atls_variable_field,
      NGX_HTTP_ATLS_IDENTITY_SERIAL },

    { ngx_string("atls_client_fingerprint"), ngx_http_atls_variable_field,
      NGX_HTTP_ATLS_IDENTITY_FINGERPRINT },

    { ngx_string("atls_client_v_start"), ngx_http_atls_variable_field,
      NGX_HTTP_ATLS_IDENTITY_V_START },

    { ngx_string("atls_client_v_end"), ngx_http_atls_variable_field,
      NGX_HTTP_ATLS_IDENTITY_V_END },

    { ngx_string("atls_psk_identity"), ngx_http_atls_variable_field,
      NGX_HTTP_ATLS_IDENTITY_PSK },

    { ngx_string("atls_association"), ngx_http_atls_variable_association, 0 },

    { ngx_null_string, NULL, 0 }
};


/*
 * Core evaluates these by the SSL of the connection, and inner connections
 * have none.
 */

static ngx_http_atls_secure_t  ngx_http_atls_secure[] = {
    { ngx_string("scheme"), ngx_string("https") },
    { ngx_string("https"), ngx_string("on") },
    { ngx_null_string, ngx_null_string }
};


static ngx_int_t
ngx_http_atls_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_http_atls_variable_t *var = (ngx_http_atls_variable_t *) data;

    ngx_str_t               value;
    ngx_http_atls_inner_t  *inner;

    inner = ngx_http_atls_inner_get(r->connection);

    ngx_str_null(&value);

    if (inner && var->handler(r, inner, var->data, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_atls_variable_set(v, &value);

    return NGX_OK;
}


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
ngx_http_atls_variable_text(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, uintptr_t data, ngx_str_t *value)
{
    ngx_http_atls_text_pt  text = (ngx_http_atls_text_pt) data;

    value->data = (u_char *) text(inner);

    if (value->data) {
        value->len = ngx_strlen(value->data);
    }

    return NGX_OK;
}


static const char *
ngx_http_atls_text_on(ngx_http_atls_inner_t *inner)
{
    return "on";
}


static const char *
ngx_http_atls_text_protocol(ngx_http_atls_inner_t *inner)
{
    return trl_protocol_name(inner->info.protocol);
}


static const char *
ngx_http_atls_text_cipher(ngx_http_atls_inner_t *inner)
{
    return ngx_http_atls_ssl_cipher_name(inner->target.tls->ssl,
                                         inner->info.suite);
}


static const char *
ngx_http_atls_text_alpn(ngx_http_atls_inner_t *inner)
{
    return (char *) ngx_http_atls_ssl_alpn_name(inner->info.alpn)->data;
}


static const char *
ngx_http_atls_text_reused(ngx_http_atls_inner_t *inner)
{
    return inner->info.reused ? "r" : ".";
}


static const char *
ngx_http_atls_text_early(ngx_http_atls_inner_t *inner)
{
    return inner->early ? "1" : NULL;
}


static ngx_int_t
ngx_http_atls_variable_print(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, uintptr_t data, ngx_str_t *value)
{
    ngx_http_atls_print_pt  print = (ngx_http_atls_print_pt) data;

    u_char  *p, *last;

    p = ngx_pnalloc(r->pool, NGX_HTTP_ATLS_VARIABLE_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = print(inner, p, p + NGX_HTTP_ATLS_VARIABLE_LEN);
    if (last == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = last - p;

    return NGX_OK;
}


/* The id itself is secret: anybody with the cookie can end the session. */

static u_char *
ngx_http_atls_print_id(ngx_http_atls_inner_t *inner, u_char *p, u_char *last)
{
    u_char  hash[NGX_HTTP_ATLS_ID_LEN];

    if (ngx_http_atls_label_hash(inner->info.id, hash, inner->connection->log)
        != NGX_OK)
    {
        return NULL;
    }

    return ngx_hex_dump(p, hash, NGX_HTTP_ATLS_ID_LEN);
}


static u_char *
ngx_http_atls_print_requests(ngx_http_atls_inner_t *inner, u_char *p,
    u_char *last)
{
    return ngx_slprintf(p, last, "%uL", inner->info.requests);
}


/* Like $connection_time, but starting at the ClientHello. */

static u_char *
ngx_http_atls_print_time(ngx_http_atls_inner_t *inner, u_char *p, u_char *last)
{
    int64_t  ms;

    ms = ngx_http_atls_clock() - inner->info.created;

    return ngx_slprintf(p, last, "%T.%03M", (time_t) (ms / 1000),
                        (ngx_msec_t) (ms % 1000));
}


static u_char *
ngx_http_atls_print_curve(ngx_http_atls_inner_t *inner, u_char *p,
    u_char *last)
{
    const char  *name;

    if (inner->info.group == 0) {
        return p;
    }

    name = trl_group_name(inner->info.group);

    return name ? ngx_slprintf(p, last, "%s", name)
                : ngx_slprintf(p, last, "0x%04xd", inner->info.group);
}


static ngx_int_t
ngx_http_atls_variable_str(ngx_http_request_t *r, ngx_http_atls_inner_t *inner,
    uintptr_t data, ngx_str_t *value)
{
    *value = *(ngx_str_t *) ((u_char *) inner + data);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_client(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atls_client_variable_t *var =
                                     (ngx_http_atls_client_variable_t *) data;

    ngx_str_t                  value;
    ngx_http_atls_inner_t     *inner;
    ngx_http_atls_identity_t  *identity;

    inner = ngx_http_atls_inner_get(r->connection);

    identity = inner ? &inner->info.identity
                     : ngx_http_atls_direct_identity(r->connection);

    ngx_str_null(&value);

    if (identity && var->handler(r, identity, var->data, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_atls_variable_set(v, &value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_field(ngx_http_request_t *r,
    ngx_http_atls_identity_t *identity, uintptr_t data, ngx_str_t *value)
{
    *value = identity->fields[data];

    return NGX_OK;
}


/* Without a certificate, there is no verification result. */

static ngx_int_t
ngx_http_atls_variable_verify(ngx_http_request_t *r,
    ngx_http_atls_identity_t *identity, uintptr_t data, ngx_str_t *value)
{
    *value = identity->fields[NGX_HTTP_ATLS_IDENTITY_VERIFY];

    if (value->len == 0) {
        ngx_str_set(value, "NONE");
    }

    return NGX_OK;
}


/* Set over TLS connections that were accepted by an association. */

static ngx_int_t
ngx_http_atls_variable_association(ngx_http_request_t *r,
    ngx_http_atls_identity_t *identity, uintptr_t data, ngx_str_t *value)
{
    if (ngx_http_atls_inner_get(r->connection) == NULL) {
        ngx_str_set(value, "on");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_cert(ngx_http_request_t *r,
    ngx_http_atls_identity_t *identity, uintptr_t data, ngx_str_t *value)
{
    ngx_http_atls_encode_pt  encode = (ngx_http_atls_encode_pt) data;

    ngx_str_t  *der;

    der = &identity->fields[NGX_HTTP_ATLS_IDENTITY_CERT];

    return der->len ? encode(r, der, value) : NGX_OK;
}


static ngx_int_t
ngx_http_atls_encode_pem(ngx_http_request_t *r, ngx_str_t *der,
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


/* Like $ssl_client_cert: each line except the first is prefixed with a tab. */

static ngx_int_t
ngx_http_atls_encode_tabs(ngx_http_request_t *r, ngx_str_t *der,
    ngx_str_t *value)
{
    u_char     *p;
    size_t      i, lines;
    ngx_str_t   pem;

    if (ngx_http_atls_encode_pem(r, der, &pem) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the last LF is not included */

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
ngx_http_atls_encode_escaped(ngx_http_request_t *r, ngx_str_t *der,
    ngx_str_t *value)
{
    uintptr_t   n;
    ngx_str_t   pem;

    if (ngx_http_atls_encode_pem(r, der, &pem) != NGX_OK) {
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
ngx_http_atls_encode_rfc9440(ngx_http_request_t *r, ngx_str_t *der,
    ngx_str_t *value)
{
    ngx_str_t  base64;

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


ngx_int_t
ngx_http_atls_variables_init(ngx_conf_t *cf)
{
    ngx_http_variable_t              *v;
    ngx_http_atls_variable_t         *var;
    ngx_http_atls_client_variable_t  *client;

    for (var = ngx_http_atls_vars; var->name.len; var++) {

        v = ngx_http_add_variable(cf, &var->name,
                                  NGX_HTTP_VAR_CHANGEABLE|var->flags);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->get_handler = ngx_http_atls_variable;
        v->data = (uintptr_t) var;
    }

    for (client = ngx_http_atls_client_vars; client->name.len; client++) {

        v = ngx_http_add_variable(cf, &client->name, NGX_HTTP_VAR_CHANGEABLE);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->get_handler = ngx_http_atls_variable_client;
        v->data = (uintptr_t) client;
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
