
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_peer.h"


ngx_http_atls_peer_t *
ngx_http_atls_peer_get(ngx_ssl_conn_t *ssl)
{
    return (ngx_http_atls_peer_t *) ngx_ssl_get_connection(ssl);
}


ngx_int_t
ngx_http_atls_peer_set_psk(ngx_http_atls_peer_t *peer, const u_char *identity,
    size_t len)
{
    peer->ticket = 0;

    peer->psk.len = len;
    peer->psk.data = ngx_pnalloc(peer->connection.pool, len ? len : 1);
    if (peer->psk.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(peer->psk.data, identity, len);

    return NGX_OK;
}


/*
 * In TLS 1.3, an external pre-shared key is used like a ticket to resume a
 * session; in TLS 1.2, it depends on the suite.
 */

ngx_str_t
ngx_http_atls_peer_psk(ngx_http_atls_peer_t *peer)
{
    ngx_str_t          none = ngx_null_string;
    ngx_ssl_conn_t    *ssl;
    const SSL_CIPHER  *cipher;

    ssl = peer->connection.ssl->connection;
    cipher = SSL_get_current_cipher(ssl);

    if (peer->psk.len == 0 || peer->ticket || cipher == NULL) {
        return none;
    }

    if (SSL_version(ssl) == TLS1_3_VERSION) {
        return SSL_session_reused(ssl) ? peer->psk : none;
    }

    /* RSA_PSK also authenticates the server by certificate */

    if (SSL_CIPHER_get_auth_nid(cipher) == NID_auth_psk
        || SSL_CIPHER_get_kx_nid(cipher) == NID_kx_rsa_psk)
    {
        return peer->psk;
    }

    return none;
}


void
ngx_http_atls_peer_set_ticket(ngx_http_atls_peer_t *peer, time_t remaining)
{
    peer->ticket = 1;
    peer->remaining = remaining;
}
