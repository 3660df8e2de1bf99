
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_association.h"
#include "ngx_http_atls_direct_tls12.h"
#include "ngx_http_atls_hello.h"

#include <openssl/hmac.h>


static ngx_uint_t ngx_http_atls_direct_tls12_is(const SSL_CIPHER *cipher);
static ngx_uint_t ngx_http_atls_direct_tls12_only(ngx_ssl_conn_t *ssl,
    SSL_CTX *ctx);
static int ngx_http_atls_direct_tls12_not_resumable(ngx_ssl_conn_t *ssl,
    int forward_secure);


ngx_uint_t
ngx_http_atls_direct_tls12_suite(SSL_CTX *ctx)
{
    int                    i;
    STACK_OF(SSL_CIPHER)  *ciphers;

    ciphers = SSL_CTX_get_ciphers(ctx);

    for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        if (ngx_http_atls_direct_tls12_is(sk_SSL_CIPHER_value(ciphers, i))) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_atls_direct_tls12_is(const SSL_CIPHER *cipher)
{
    return cipher
           && SSL_CIPHER_get_id(cipher)
              == TLS1_CK_ECDHE_PSK_WITH_CHACHA20_POLY1305;
}


void
ngx_http_atls_direct_tls12_offer(ngx_ssl_conn_t *ssl, SSL_CTX *ctx,
    ngx_http_atls_direct_tls12_pt handler)
{
    size_t         len;
    const u_char  *p;

    if (!ngx_http_atls_direct_tls12_only(ssl, ctx)
        || SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_extended_master_secret,
                                     &p, &len)
           != 1)
    {
        return;
    }

    SSL_set_psk_server_callback(ssl, handler);

    /* nothing resumes the connection, which would outlive the association */

    SSL_set_not_resumable_session_callback(ssl,
                                   ngx_http_atls_direct_tls12_not_resumable);
}


/*
 * With the callback for keys, OpenSSL would also select other suites with
 * pre-shared keys, most of which have no forward secrecy.
 */

static ngx_uint_t
ngx_http_atls_direct_tls12_only(ngx_ssl_conn_t *ssl, SSL_CTX *ctx)
{
    int                    i;
    ngx_uint_t             offered;
    const SSL_CIPHER      *cipher;
    STACK_OF(SSL_CIPHER)  *ciphers;

    offered = 0;
    ciphers = SSL_CTX_get_ciphers(ctx);

    for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        cipher = sk_SSL_CIPHER_value(ciphers, i);

        /* suites of TLS 1.3 have 0x13 as the first byte */

        if (SSL_CIPHER_get_protocol_id(cipher) >> 8 == 0x13
            || !ngx_http_atls_hello_offered(ssl, cipher))
        {
            continue;
        }

        if (!ngx_http_atls_direct_tls12_is(cipher)) {
            return 0;
        }

        offered = 1;
    }

    return offered;
}


/* In TLS 1.2, there is no other suite than that of associations. */

static int
ngx_http_atls_direct_tls12_not_resumable(ngx_ssl_conn_t *ssl,
    int forward_secure)
{
    return SSL_version(ssl) == TLS1_2_VERSION;
}


ngx_uint_t
ngx_http_atls_direct_tls12_selected(ngx_ssl_conn_t *ssl)
{
    return SSL_version(ssl) == TLS1_2_VERSION
           && ngx_http_atls_direct_tls12_is(SSL_get_pending_cipher(ssl));
}


ngx_uint_t
ngx_http_atls_direct_tls12_complete(ngx_ssl_conn_t *ssl)
{
    return SSL_version(ssl) == TLS1_2_VERSION
           && SSL_is_init_finished(ssl)
           && ngx_http_atls_direct_tls12_is(SSL_get_current_cipher(ssl))
           && SSL_get_extms_support(ssl) == 1;
}


ngx_int_t
ngx_http_atls_direct_tls12_key(const u_char *association, u_char *key)
{
    static const u_char  label[] = "atls association TLS 1.2";

    return HMAC(EVP_sha256(), association, NGX_HTTP_ATLS_ASSOCIATION_KEY, label,
                sizeof(label) - 1, key, NULL)
           ? NGX_OK : NGX_ERROR;
}
