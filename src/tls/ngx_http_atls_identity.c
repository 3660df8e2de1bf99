
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_pieces.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_peer.h"
#include "ngx_http_atls_psk.h"


/* A field is stored as its length, followed by its bytes. */

#define NGX_HTTP_ATLS_IDENTITY_MAX_FIELD  65535
#define NGX_HTTP_ATLS_IDENTITY_MAX_CERT   16384

/* The maximum size of the identity of a client with a pre-shared key. */

#define NGX_HTTP_ATLS_IDENTITY_MAX_PSK                                        \
    (NGX_HTTP_ATLS_IDENTITY_FIELDS * sizeof(uint16_t) + sizeof("PSK")         \
     + NGX_HTTP_ATLS_PSK_MAX_IDENTITY)


static ngx_int_t ngx_http_atls_identity_digest(EVP_MD_CTX *md,
    ngx_http_atls_loc_conf_t *alcf);
static ngx_int_t ngx_http_atls_identity_certificate(ngx_connection_t *c,
    X509 *cert, ngx_http_atls_identity_t *identity);
static ngx_int_t ngx_http_atls_identity_der(ngx_connection_t *c, X509 *cert,
    ngx_str_t *der);
static ngx_int_t ngx_http_atls_identity_store(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_connection_t *c,
    ngx_http_atls_identity_t *identity);
static uint64_t ngx_http_atls_identity_psk_policy(
    ngx_http_atls_loc_conf_t *alcf, u_char *stored);


typedef ngx_int_t (*ngx_http_atls_identity_pt)(ngx_connection_t *c,
    ngx_pool_t *pool, ngx_str_t *s);


/* in the order of ngx_http_atls_identity_e */

static ngx_http_atls_identity_pt  ngx_http_atls_identity_ssl[] = {
    ngx_ssl_get_client_verify,
    ngx_ssl_get_subject_dn,
    ngx_ssl_get_issuer_dn,
    ngx_ssl_get_serial_number,
    ngx_ssl_get_fingerprint,
    ngx_ssl_get_client_v_start,
    ngx_ssl_get_client_v_end
};


ngx_int_t
ngx_http_atls_identity_policy(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    u_char       hash[EVP_MAX_MD_SIZE];
    ngx_int_t    rc;
    EVP_MD_CTX  *md;

    rc = NGX_ERROR;

    md = EVP_MD_CTX_new();

    if (md == NULL
        || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1
        || ngx_http_atls_identity_digest(md, alcf) != NGX_OK
        || EVP_DigestFinal_ex(md, hash, NULL) != 1)
    {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0, "SHA-256 failed");

    } else {
        ngx_memcpy(&alcf->policy, hash, sizeof(uint64_t));
        rc = NGX_OK;
    }

    EVP_MD_CTX_free(md);

    return rc;
}


static ngx_int_t
ngx_http_atls_identity_digest(EVP_MD_CTX *md, ngx_http_atls_loc_conf_t *alcf)
{
    int                     i, rc;
    X509                   *cert;
    u_char                  hash[EVP_MAX_MD_SIZE];
    X509_CRL               *crl;
    ngx_uint_t              psk_only;
    X509_OBJECT            *object;
    unsigned int            len;
    STACK_OF(X509_OBJECT)  *objects;

    /* without certificates, only clients with pre-shared keys are accepted */

    psk_only = (alcf->psks && alcf->certificates == NULL);

    if (EVP_DigestUpdate(md, &alcf->verify, sizeof(ngx_uint_t)) != 1
        || EVP_DigestUpdate(md, &psk_only, sizeof(ngx_uint_t)) != 1)
    {
        return NGX_ERROR;
    }

    if (alcf->verify == NGX_HTTP_ATLS_VERIFY_OFF) {
        return NGX_OK;
    }

    if (EVP_DigestUpdate(md, &alcf->verify_depth, sizeof(ngx_uint_t)) != 1) {
        return NGX_ERROR;
    }

    objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(alcf->ssl->ctx));

    for (i = 0; i < sk_X509_OBJECT_num(objects); i++) {

        object = sk_X509_OBJECT_value(objects, i);
        cert = X509_OBJECT_get0_X509(object);
        crl = X509_OBJECT_get0_X509_CRL(object);

        if (cert) {
            rc = X509_digest(cert, EVP_sha256(), hash, &len);

        } else if (crl) {
            rc = X509_CRL_digest(crl, EVP_sha256(), hash, &len);

        } else {
            continue;
        }

        if (rc != 1 || EVP_DigestUpdate(md, hash, len) != 1) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


uint64_t
ngx_http_atls_identity_peer_policy(ngx_http_atls_peer_t *peer)
{
    ngx_str_t                  psk;
    ngx_http_atls_loc_conf_t  *alcf;

    alcf = peer->target.tls;
    psk = ngx_http_atls_peer_psk(peer);

    return psk.len ? ngx_http_atls_psk_policy(alcf->psks, &psk) : alcf->policy;
}


ngx_int_t
ngx_http_atls_identity_set(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_connection_t *c, ngx_str_t *psk)
{
    X509                      *cert;
    ngx_int_t                  rc;
    ngx_http_atls_identity_t   identity;

    ngx_memzero(&identity, sizeof(ngx_http_atls_identity_t));

    session->verify_error = X509_V_OK;

    if (psk->len) {
        session->psk = 1;

        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                       "atls client has pre-shared key \"%V\"", psk);

        ngx_str_set(&identity.fields[NGX_HTTP_ATLS_IDENTITY_VERIFY], "PSK");
        identity.fields[NGX_HTTP_ATLS_IDENTITY_PSK] = *psk;

        return ngx_http_atls_identity_store(zone, session, c, &identity);
    }

    cert = SSL_get1_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0,
                       "atls client has no certificate");
        return NGX_OK;
    }

    session->verify_error = SSL_get_verify_result(c->ssl->connection);

    rc = ngx_http_atls_identity_certificate(c, cert, &identity);

    X509_free(cert);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls client has a certificate, subject:\"%V\", verify:%ud",
                   &identity.fields[NGX_HTTP_ATLS_IDENTITY_S_DN],
                   (unsigned) session->verify_error);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_atls_identity_store(zone, session, c, &identity);
}


static ngx_int_t
ngx_http_atls_identity_certificate(ngx_connection_t *c, X509 *cert,
    ngx_http_atls_identity_t *identity)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_ATLS_IDENTITY_CERT; i++) {

        if (ngx_http_atls_identity_ssl[i](c, c->pool, &identity->fields[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_atls_identity_der(c, cert,
                          &identity->fields[NGX_HTTP_ATLS_IDENTITY_CERT]);
}


static ngx_int_t
ngx_http_atls_identity_der(ngx_connection_t *c, X509 *cert, ngx_str_t *der)
{
    int      len;
    u_char  *p;

    len = i2d_X509(cert, NULL);

    if (len <= 0) {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0, "i2d_X509() failed");
        return NGX_ERROR;
    }

    if (len > NGX_HTTP_ATLS_IDENTITY_MAX_CERT) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "atls client sent too large certificate: %d bytes", len);
        return NGX_ERROR;
    }

    p = ngx_pnalloc(c->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    der->data = p;
    der->len = i2d_X509(cert, &p);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_identity_store(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_connection_t *c,
    ngx_http_atls_identity_t *identity)
{
    u_char  *data;
    size_t   len;

    len = ngx_http_atls_identity_size(identity);

    if (len == 0) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "atls client sent too long name");
        return NGX_ERROR;
    }

    data = ngx_pnalloc(c->pool, len);
    if (data == NULL) {
        return NGX_ERROR;
    }

    ngx_http_atls_identity_write(identity, data);

    /* anybody can create an unverified certificate: memory is limited */

    if (session->verify_error != X509_V_OK) {
        session->identity.kind = ngx_http_atls_stranger;
    }

    if (ngx_http_atls_session_store(zone, session, &session->identity, data,
                                    len)
        != NGX_OK)
    {
        ngx_http_atls_session_full(zone, "has no memory for a certificate",
                                   c->log);
        return NGX_BUSY;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls identity stored, %uz bytes", len);

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_identity_get(ngx_http_atls_session_t *session,
    ngx_http_atls_identity_t *identity, ngx_pool_t *pool)
{
    u_char  *p;

    if (session->identity.len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, session->identity.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_atls_session_load(&session->identity, p);
    ngx_http_atls_identity_read(identity, p);

    return NGX_OK;
}


size_t
ngx_http_atls_identity_size(ngx_http_atls_identity_t *identity)
{
    size_t      len;
    ngx_uint_t  i;

    len = NGX_HTTP_ATLS_IDENTITY_FIELDS * sizeof(uint16_t);

    for (i = 0; i < NGX_HTTP_ATLS_IDENTITY_FIELDS; i++) {

        if (identity->fields[i].len > NGX_HTTP_ATLS_IDENTITY_MAX_FIELD) {
            return 0;
        }

        len += identity->fields[i].len;
    }

    return len;
}


void
ngx_http_atls_identity_write(ngx_http_atls_identity_t *identity, u_char *p)
{
    uint16_t    n;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_ATLS_IDENTITY_FIELDS; i++) {
        n = (uint16_t) identity->fields[i].len;
        p = ngx_cpymem(p, &n, sizeof(uint16_t));

        if (n) {
            p = ngx_cpymem(p, identity->fields[i].data, n);
        }
    }
}


void
ngx_http_atls_identity_read(ngx_http_atls_identity_t *identity, u_char *p)
{
    uint16_t    n;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_ATLS_IDENTITY_FIELDS; i++) {
        ngx_memcpy(&n, p, sizeof(uint16_t));
        p += sizeof(uint16_t);

        identity->fields[i].len = n;
        identity->fields[i].data = p;
        p += n;
    }
}


uint64_t
ngx_http_atls_identity_accepted(ngx_http_atls_identity_t *identity,
    ngx_http_atls_loc_conf_t *alcf)
{
    ngx_str_t  *psk;

    psk = &identity->fields[NGX_HTTP_ATLS_IDENTITY_PSK];

    return psk->len ? ngx_http_atls_psk_policy(alcf->psks, psk) : alcf->policy;
}


ngx_uint_t
ngx_http_atls_identity_valid(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf)
{
    u_char  buf[NGX_HTTP_ATLS_IDENTITY_MAX_PSK];

    if (!session->psk) {
        return session->policy == alcf->policy;
    }

    if (session->identity.len > sizeof(buf)) {
        return 0;
    }

    ngx_http_atls_session_load(&session->identity, buf);

    return session->policy == ngx_http_atls_identity_psk_policy(alcf, buf);
}


ngx_uint_t
ngx_http_atls_identity_view_valid(ngx_http_atls_view_t *view,
    ngx_http_atls_loc_conf_t *alcf)
{
    if (view->psk.len == 0) {
        return view->policy == alcf->policy;
    }

    return view->policy
           == ngx_http_atls_identity_psk_policy(alcf, view->psk.data);
}


static uint64_t
ngx_http_atls_identity_psk_policy(ngx_http_atls_loc_conf_t *alcf,
    u_char *stored)
{
    ngx_http_atls_identity_t  identity;

    ngx_http_atls_identity_read(&identity, stored);

    return ngx_http_atls_psk_policy(alcf->psks,
                           &identity.fields[NGX_HTTP_ATLS_IDENTITY_PSK]);
}


/* Like ngx_http_process_request() for ssl_verify_client. */

ngx_int_t
ngx_http_atls_identity_check(ngx_http_atls_loc_conf_t *alcf,
    ngx_http_atls_identity_t *identity, ngx_uint_t verify_error,
    ngx_log_t *log)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls policy check, verify client:%ui, result:\"%V\" %ui",
                   alcf->verify,
                   &identity->fields[NGX_HTTP_ATLS_IDENTITY_VERIFY],
                   verify_error);

    if (alcf->verify == NGX_HTTP_ATLS_VERIFY_OFF
        || identity->fields[NGX_HTTP_ATLS_IDENTITY_PSK].len)
    {
        return NGX_OK;
    }

    if (verify_error != X509_V_OK
        && (alcf->verify != NGX_HTTP_ATLS_VERIFY_OPTIONAL_NO_CA
            || !ngx_ssl_verify_error_optional(verify_error)))
    {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls client certificate verify error: (%ui:%s)",
                      verify_error,
                      X509_verify_cert_error_string(verify_error));
        return NGX_HTTPS_CERT_ERROR;
    }

    if (alcf->verify == NGX_HTTP_ATLS_VERIFY_ON
        && identity->fields[NGX_HTTP_ATLS_IDENTITY_CERT].len == 0)
    {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "atls client sent no required certificate");
        return NGX_HTTPS_NO_CERT;
    }

    return NGX_OK;
}
