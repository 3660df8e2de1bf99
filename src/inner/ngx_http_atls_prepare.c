
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_export.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_associations.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_association.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_prepare.h"

#include <openssl/rand.h>


#define NGX_HTTP_ATLS_PREPARE_LABEL      "application-layer-tls-association"

#define NGX_HTTP_ATLS_PREPARE_TOO_EARLY  425   /* RFC 8470, section 5.2 */


static ngx_int_t ngx_http_atls_prepare_association(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, const trl_state_t *state);
static ngx_int_t ngx_http_atls_prepare_key(
    ngx_http_atls_association_t *association, const trl_state_t *state,
    ngx_log_t *log);
static time_t ngx_http_atls_prepare_lifetime(ngx_http_atls_inner_t *inner);
static ngx_int_t ngx_http_atls_prepare_send(ngx_http_request_t *r,
    ngx_http_atls_association_t *association, ngx_str_t *identity);
static ngx_int_t ngx_http_atls_prepare_header(ngx_http_request_t *r,
    const char *name, const char *value);


static ngx_str_t  ngx_http_atls_prepare_uri =
    ngx_string("/.well-known/atls-association");


ngx_int_t
ngx_http_atls_prepare(ngx_http_request_t *r, ngx_http_atls_inner_t *inner)
{
    ngx_int_t           rc;
    const trl_state_t  *state;

    if (inner->target.conf->association == 0
        || r != r->main
        || r->uri.len != ngx_http_atls_prepare_uri.len
        || ngx_strncmp(r->uri.data, ngx_http_atls_prepare_uri.data, r->uri.len)
           != 0)
    {
        return NGX_DECLINED;
    }

    if (r->method != NGX_HTTP_POST) {
        rc = ngx_http_atls_prepare_header(r, "Allow", "POST");
        return rc == NGX_OK ? NGX_HTTP_NOT_ALLOWED : rc;
    }

    state = ngx_http_atls_inner_state(inner);

    if (state == NULL) {

        /* in early data, there is no key yet */

        return NGX_HTTP_ATLS_PREPARE_TOO_EARLY;
    }

    if (!state->extended_master) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls association requires extended master secret with "
                      "TLS 1.2");
        return NGX_HTTP_FORBIDDEN;
    }

    rc = ngx_http_atls_prepare_association(r, inner, state);

    if (rc != NGX_OK) {
        return rc;
    }

    return NGX_DONE;
}


/* The client keeps the policy by which it is accepted in this session. */

static ngx_int_t
ngx_http_atls_prepare_association(ngx_http_request_t *r,
    ngx_http_atls_inner_t *inner, const trl_state_t *state)
{
    time_t                        lifetime;
    ngx_int_t                     rc;
    ngx_str_t                     identity;
    ngx_shm_zone_t               *zone;
    ngx_http_atls_loc_conf_t     *tls;
    ngx_http_atls_main_conf_t    *amcf;
    ngx_http_atls_association_t   association;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_atls_module);

    zone = amcf->associations;
    tls = inner->target.tls;

    ngx_memzero(&association, sizeof(ngx_http_atls_association_t));

    lifetime = ngx_http_atls_prepare_lifetime(inner);

    if (lifetime <= 0) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls association refused, "
                      "the client certificate has expired");
        return NGX_HTTP_FORBIDDEN;
    }

    association.policy = ngx_http_atls_identity_accepted(&inner->info.identity,
                                                         tls);
    association.expires = ngx_time() + lifetime;
    association.verify_error = inner->info.verify_error;
    association.identity = inner->info.identity;

    if (!inner->target.conf->association_reuse) {
        ngx_http_atls_associations_issue(zone, &association.once);
    }

    rc = NGX_ERROR;

    if (ngx_http_atls_association_name(&association, &inner->info.sni)
        == NGX_OK
        && ngx_http_atls_prepare_key(&association, state, r->connection->log)
           == NGX_OK)
    {
        rc = ngx_http_atls_association_seal(&association, lifetime, tls, zone,
                                            &identity, r->pool);
    }

    ngx_explicit_memzero(association.key, NGX_HTTP_ATLS_ASSOCIATION_KEY);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "atls association refused, "
                      "the client certificate is too large");
        return NGX_HTTP_FORBIDDEN;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_atls_prepare_send(r, &association, &identity);
}


/*
 * The context is that of the association, and the version of TLS in which the
 * key is used: RFC 8446, appendix E.7.
 */

static ngx_int_t
ngx_http_atls_prepare_key(ngx_http_atls_association_t *association,
    const trl_state_t *state, ngx_log_t *log)
{
    u_char  *p, context[NGX_HTTP_ATLS_ASSOCIATION_ID + 2];

    if (RAND_bytes(association->id, NGX_HTTP_ATLS_ASSOCIATION_ID) != 1) {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    p = ngx_cpymem(context, association->id, NGX_HTTP_ATLS_ASSOCIATION_ID);
    *p++ = TLS1_3_VERSION >> 8;
    *p++ = TLS1_3_VERSION & 0xff;

    if (trl_export(state, NGX_HTTP_ATLS_PREPARE_LABEL,
                   sizeof(NGX_HTTP_ATLS_PREPARE_LABEL) - 1, context,
                   sizeof(context), association->key,
                   NGX_HTTP_ATLS_ASSOCIATION_KEY)
        == -1)
    {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0,
                      "atls keying material export failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Not longer than the certificate of the client, if it has a valid one. */

static time_t
ngx_http_atls_prepare_lifetime(ngx_http_atls_inner_t *inner)
{
    int           days, seconds;
    X509         *cert;
    time_t        lifetime;
    ngx_str_t    *der;
    const u_char *p;

    lifetime = inner->target.conf->association;
    der = &inner->info.identity.fields[NGX_HTTP_ATLS_IDENTITY_CERT];

    if (der->len == 0 || inner->info.verify_error != X509_V_OK) {
        return lifetime;
    }

    p = der->data;
    cert = d2i_X509(NULL, &p, (long) der->len);

    if (cert == NULL
        || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1)
    {
        ERR_clear_error();
        lifetime = 0;

    } else {
        lifetime = ngx_min(lifetime, (time_t) days * 86400 + seconds);
    }

    X509_free(cert);

    return lifetime;
}


static ngx_int_t
ngx_http_atls_prepare_send(ngx_http_request_t *r,
    ngx_http_atls_association_t *association, ngx_str_t *identity)
{
    u_char                    context[NGX_HTTP_ATLS_ASSOCIATION_ID * 2];
    size_t                    len;
    ngx_int_t                 rc;
    ngx_str_t                 type;
    ngx_http_complex_value_t  cv;

    ngx_hex_dump(context, association->id, NGX_HTTP_ATLS_ASSOCIATION_ID);

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    len = sizeof("{\"identity\":\"\",\"context\":\"\","
                 "\"expires\":,\"reusable\":false}\n")
          + identity->len + sizeof(context) + NGX_TIME_T_LEN;

    cv.value.data = ngx_pnalloc(r->pool, len);
    if (cv.value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cv.value.len = ngx_sprintf(cv.value.data,
                               "{\"identity\":\"%V\",\"context\":\"%*s\","
                               "\"expires\":%T,\"reusable\":%s}\n",
                               identity, sizeof(context), context,
                               association->expires,
                               association->once.zone ? "false" : "true")
                   - cv.value.data;

    rc = ngx_http_atls_prepare_header(r, "Cache-Control", "no-store");

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls association issued, number:%uL, identity of %uz bytes",
                   association->once.number, identity->len);

    ngx_http_atls_count(associations[ngx_http_atls_association_issued]);

    ngx_str_set(&type, "application/json");

    ngx_http_finalize_request(r, ngx_http_send_response(r, NGX_HTTP_OK, &type,
                                                        &cv));

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_prepare_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->hash = 1;
    ngx_http_atls_link_header(h);
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}
