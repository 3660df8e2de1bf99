
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_hello.h"


#define NGX_HTTP_ATLS_HELLO_PSK     41      /* pre_shared_key */
#define NGX_HTTP_ATLS_HELLO_SUITES  512     /* names of TLS 1.3 suites */


static ngx_uint_t ngx_http_atls_hello_suites(ngx_ssl_conn_t *ssl,
    u_char *suites);


/*
 * RFC 8446, section 4.2.11: a list of identities, each with an age of 4 bytes.
 * Errors in the format are left to OpenSSL.
 */

ngx_uint_t
ngx_http_atls_hello_find_psk(ngx_ssl_conn_t *ssl,
    ngx_http_atls_hello_psk_pt handler, void *data)
{
    size_t         len, n;
    ngx_str_t      identity;
    const u_char  *p;

    if (SSL_client_hello_get0_ext(ssl, NGX_HTTP_ATLS_HELLO_PSK, &p, &len) != 1
        || len < 2)
    {
        return 0;
    }

    n = (p[0] << 8) + p[1];

    p += 2;
    len = ngx_min(len - 2, n);

    while (len >= 2) {

        n = (p[0] << 8) + p[1];

        p += 2;
        len -= 2;

        if (len < n + 4) {
            return 0;
        }

        identity.len = n;
        identity.data = (u_char *) p;

        if (handler(data, &identity)) {
            return 1;
        }

        p += n + 4;
        len -= n + 4;
    }

    return 0;
}


ngx_int_t
ngx_http_atls_hello_set_suites(ngx_ssl_conn_t *ssl)
{
    u_char             suites[NGX_HTTP_ATLS_HELLO_SUITES];
    ngx_connection_t  *c;

    if (!ngx_http_atls_hello_suites(ssl, suites)) {
        return NGX_DECLINED;
    }

    c = ngx_ssl_get_connection(ssl);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls pre-shared key offered, suites:\"%s\"", suites);

    if (SSL_set_ciphersuites(ssl, (char *) suites) != 1) {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0,
                      "SSL_set_ciphersuites(\"%s\") failed", suites);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Writes the suites with SHA-256 in the format of SSL_set_ciphersuites().
 * Returns 0 if the client offers none of them.
 */

static ngx_uint_t
ngx_http_atls_hello_suites(ngx_ssl_conn_t *ssl, u_char *suites)
{
    int                    i;
    size_t                 len;
    u_char                *p;
    ngx_uint_t             offered;
    const char            *name;
    const SSL_CIPHER      *cipher;
    STACK_OF(SSL_CIPHER)  *ciphers;

    p = suites;
    offered = 0;
    ciphers = SSL_get_ciphers(ssl);

    for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {

        cipher = sk_SSL_CIPHER_value(ciphers, i);

        if (!ngx_http_atls_hello_suitable(cipher)) {
            continue;
        }

        name = SSL_CIPHER_get_name(cipher);
        len = ngx_strlen(name);

        if (p + len + 1 > suites + NGX_HTTP_ATLS_HELLO_SUITES) {
            break;
        }

        p = ngx_cpymem(p, name, len);
        *p++ = ':';

        offered |= ngx_http_atls_hello_offered(ssl, cipher);
    }

    if (offered) {
        p[-1] = '\0';
    }

    return offered;
}


/* RFC 8446, section 4.2.1: after one byte with their length, the versions. */

ngx_uint_t
ngx_http_atls_hello_has_tls13(ngx_ssl_conn_t *ssl)
{
    long           max;
    size_t         len;
    const u_char  *p;

    max = SSL_get_max_proto_version(ssl);

    if ((SSL_get_options(ssl) & SSL_OP_NO_TLSv1_3)
        || (max && max < TLS1_3_VERSION)
        || SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &p,
                                     &len)
           != 1)
    {
        return 0;
    }

    for ( /* void */ ; len > 2; p += 2, len -= 2) {
        if ((p[1] << 8) + p[2] == TLS1_3_VERSION) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_atls_hello_offered(ngx_ssl_conn_t *ssl, const SSL_CIPHER *cipher)
{
    size_t         len;
    uint16_t       suite;
    const u_char  *p;

    suite = SSL_CIPHER_get_protocol_id(cipher);
    len = SSL_client_hello_get0_ciphers(ssl, &p);

    for ( /* void */ ; len >= 2; p += 2, len -= 2) {
        if ((p[0] << 8) + p[1] == suite) {
            return 1;
        }
    }

    return 0;
}


/* All TLS 1.3 suites with encryption have 0x13 as the first byte. */

ngx_uint_t
ngx_http_atls_hello_suitable(const SSL_CIPHER *cipher)
{
    const EVP_MD  *md;

    if (SSL_CIPHER_get_protocol_id(cipher) >> 8 != 0x13) {
        return 0;
    }

    md = SSL_CIPHER_get_handshake_digest(cipher);

    return md != NULL && EVP_MD_get_type(md) == NID_sha256;
}


SSL_SESSION *
ngx_http_atls_hello_session(u_char *key, size_t len, const SSL_CIPHER *cipher)
{
    SSL_SESSION  *session;

    session = SSL_SESSION_new();
    if (session == NULL) {
        return NULL;
    }

    if (SSL_SESSION_set1_master_key(session, key, len) != 1
        || SSL_SESSION_set_cipher(session, cipher) != 1
        || SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1)
    {
        SSL_SESSION_free(session);
        return NULL;
    }

    return session;
}
