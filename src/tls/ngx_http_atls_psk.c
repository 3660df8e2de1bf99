
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_hello.h"
#include "ngx_http_atls_peer.h"
#include "ngx_http_atls_psk.h"


#define NGX_HTTP_ATLS_PSK_WEAK_KEY      16      /* RFC 9257, section 6 */


typedef struct {
    ngx_str_t                  identity;
    ngx_str_t                  key;
    uint64_t                   policy;
    ngx_uint_t                 line;
} ngx_http_atls_psk_t;


struct ngx_http_atls_psks_s {
    ngx_array_t                elements;   /* ngx_http_atls_psk_t, sorted */
    ngx_str_t                  data;       /* all identities and keys */
};


static ngx_int_t ngx_http_atls_psk_read(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text);
static ngx_int_t ngx_http_atls_psk_read_fd(ngx_conf_t *cf, ngx_fd_t fd,
    ngx_str_t *name, ngx_str_t *text);
static ngx_int_t ngx_http_atls_psk_alloc(ngx_conf_t *cf,
    ngx_http_atls_psks_t *psks, ngx_str_t *text);
static ngx_int_t ngx_http_atls_psk_parse(ngx_conf_t *cf,
    ngx_http_atls_psks_t *psks, ngx_str_t *name, ngx_str_t *text);
static const char *ngx_http_atls_psk_parse_line(ngx_http_atls_psk_t *psk,
    u_char *line, u_char *end, u_char *dst);
static ngx_int_t ngx_http_atls_psk_hash(ngx_http_atls_psk_t *psk);
static ngx_int_t ngx_http_atls_psk_check(ngx_conf_t *cf,
    ngx_http_atls_psks_t *psks, ngx_str_t *name);
static int ngx_libc_cdecl ngx_http_atls_psk_cmp(const void *one,
    const void *two);
static void ngx_http_atls_psk_cleanup(void *data);

static ngx_http_atls_psk_t *ngx_http_atls_psk_find(ngx_http_atls_psks_t *psks,
    const u_char *identity, size_t len);

static int ngx_http_atls_psk_find_session(ngx_ssl_conn_t *ssl,
    const u_char *identity, size_t len, SSL_SESSION **session);
static unsigned int ngx_http_atls_psk_server(ngx_ssl_conn_t *ssl,
    const char *identity, u_char *key, unsigned int max);

static ngx_uint_t ngx_http_atls_psk_known(void *data, ngx_str_t *identity);


char *
ngx_http_atls_psk_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atls_loc_conf_t *alcf = conf;

    ngx_int_t              rc;
    ngx_str_t             *value, text;
    ngx_pool_cleanup_t    *cln;
    ngx_http_atls_psks_t  *psks;

    if (alcf->psks != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    psks = ngx_pcalloc(cf->pool, sizeof(ngx_http_atls_psks_t));
    if (psks == NULL) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_atls_psk_cleanup;
    cln->data = psks;

    if (ngx_http_atls_psk_read(cf, &value[1], &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_atls_psk_alloc(cf, psks, &text);

    if (rc == NGX_OK) {
        rc = ngx_http_atls_psk_parse(cf, psks, &value[1], &text);
    }

    ngx_explicit_memzero(text.data, text.len);
    ngx_free(text.data);

    if (rc != NGX_OK
        || ngx_http_atls_psk_check(cf, psks, &value[1]) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    alcf->psks = psks;

    return ngx_http_atls_note(cf, NULL, NULL);
}


/* Reads the whole file; the caller must wipe and free the text. */

static ngx_int_t
ngx_http_atls_psk_read(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *text)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    rc = ngx_http_atls_psk_read_fd(cf, fd, name, text);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return rc;
}


static ngx_int_t
ngx_http_atls_psk_read_fd(ngx_conf_t *cf, ngx_fd_t fd, ngx_str_t *name,
    ngx_str_t *text)
{
    size_t           size;
    ssize_t          n;
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a regular file", name);
        return NGX_ERROR;
    }

    /* one more byte, to detect the end of the file */

    size = (size_t) ngx_file_size(&fi) + 1;

    text->len = 0;
    text->data = ngx_alloc(size, cf->log);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    do {
        n = ngx_read_fd(fd, text->data + text->len, size - text->len);

        if (n == -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               ngx_read_fd_n " \"%V\" failed", name);
            goto failed;
        }

        text->len += n;

    } while (n > 0 && text->len < size);

    if (text->len != size - 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" changed while being read", name);
        goto failed;
    }

    return NGX_OK;

failed:

    ngx_explicit_memzero(text->data, size);
    ngx_free(text->data);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_atls_psk_alloc(ngx_conf_t *cf, ngx_http_atls_psks_t *psks,
    ngx_str_t *text)
{
    u_char      *p, *last;
    ngx_uint_t   lines;

    last = text->data + text->len;
    lines = 1;

    for (p = text->data; p < last; p++) {
        lines += (*p == LF);
    }

    if (ngx_array_init(&psks->elements, cf->pool, lines,
                       sizeof(ngx_http_atls_psk_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* an identity and a key are never longer than their line */

    psks->data.data = ngx_pnalloc(cf->pool, text->len + 1);
    if (psks->data.data == NULL) {
        return NGX_ERROR;
    }

    psks->data.len = text->len;

    return NGX_OK;
}


/* Lines are never logged: they may contain keys, even in the wrong place. */

static ngx_int_t
ngx_http_atls_psk_parse(ngx_conf_t *cf, ngx_http_atls_psks_t *psks,
    ngx_str_t *name, ngx_str_t *text)
{
    u_char               *p, *end, *last, *dst;
    ngx_uint_t            line;
    const char           *reason;
    ngx_http_atls_psk_t  *psk;

    dst = psks->data.data;
    last = text->data + text->len;

    for (line = 1, p = text->data; p < last; line++, p = end + 1) {

        end = ngx_strlchr(p, last, LF);
        if (end == NULL) {
            end = last;
        }

        if (p == end || *p == '#' || (*p == CR && p + 1 == end)) {
            continue;
        }

        psk = ngx_array_push(&psks->elements);
        if (psk == NULL) {
            return NGX_ERROR;
        }

        reason = ngx_http_atls_psk_parse_line(psk, p, end, dst);

        if (reason) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid line %ui in \"%V\": %s",
                               line, name, reason);
            return NGX_ERROR;
        }

        if (ngx_http_atls_psk_hash(psk) != NGX_OK) {
            ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0, "EVP_Digest() failed");
            return NGX_ERROR;
        }

        psk->line = line;
        dst = psk->key.data + psk->key.len;
    }

    return NGX_OK;
}


/* Returns an error text, or NULL. */

static const char *
ngx_http_atls_psk_parse_line(ngx_http_atls_psk_t *psk, u_char *line,
    u_char *end, u_char *dst)
{
    u_char     *p;
    ngx_int_t   n;

    if (end[-1] == CR) {
        end--;
    }

    /* an identity may contain colons, a key cannot */

    for (p = end; p > line && p[-1] != ':'; p--) { /* void */ }

    if (p == line) {
        return "no colon";
    }

    psk->identity.len = p - 1 - line;
    psk->identity.data = dst;

    if (psk->identity.len == 0
        || psk->identity.len > NGX_HTTP_ATLS_PSK_MAX_IDENTITY)
    {
        return "identity must be 1 to 128 bytes long";
    }

    if (ngx_strlchr(line, p, '\0')) {
        return "null byte in the identity";
    }

    dst = ngx_cpymem(dst, line, psk->identity.len);

    psk->key.len = (end - p) / 2;
    psk->key.data = dst;

    if (psk->key.len == 0 || psk->key.len > NGX_HTTP_ATLS_PSK_MAX_KEY
        || (end - p) % 2)
    {
        return "key must be 1 to 256 bytes long";
    }

    for ( /* void */ ; p < end; p += 2) {

        n = ngx_hextoi(p, 2);
        if (n == NGX_ERROR) {
            return "key is not hexadecimal";
        }

        *dst++ = (u_char) n;
    }

    return NULL;
}


static ngx_int_t
ngx_http_atls_psk_hash(ngx_http_atls_psk_t *psk)
{
    int      rc;
    u_char  *p, hash[EVP_MAX_MD_SIZE];
    u_char   buf[1 + NGX_HTTP_ATLS_PSK_MAX_IDENTITY
                 + NGX_HTTP_ATLS_PSK_MAX_KEY];

    p = buf;
    *p++ = (u_char) psk->identity.len;
    p = ngx_cpymem(p, psk->identity.data, psk->identity.len);
    p = ngx_cpymem(p, psk->key.data, psk->key.len);

    rc = EVP_Digest(buf, p - buf, hash, NULL, EVP_sha256(), NULL);

    ngx_explicit_memzero(buf, sizeof(buf));

    if (rc != 1) {
        return NGX_ERROR;
    }

    ngx_memcpy(&psk->policy, hash, sizeof(uint64_t));

    if (psk->policy == 0) {
        psk->policy = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_psk_check(ngx_conf_t *cf, ngx_http_atls_psks_t *psks,
    ngx_str_t *name)
{
    ngx_uint_t            i, n, weak;
    ngx_http_atls_psk_t  *psk;

    psk = psks->elements.elts;
    n = psks->elements.nelts;

    if (n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "no keys in \"%V\"", name);
        return NGX_ERROR;
    }

    ngx_qsort(psk, (size_t) n, sizeof(ngx_http_atls_psk_t),
              ngx_http_atls_psk_cmp);

    weak = 0;

    for (i = 0; i < n; i++) {

        if (i && ngx_http_atls_psk_cmp(&psk[i - 1], &psk[i]) == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid line %ui in \"%V\": duplicate identity "
                               "of line %ui",
                               ngx_max(psk[i - 1].line, psk[i].line), name,
                               ngx_min(psk[i - 1].line, psk[i].line));
            return NGX_ERROR;
        }

        weak += (psk[i].key.len < NGX_HTTP_ATLS_PSK_WEAK_KEY);
    }

    if (weak) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "%ui of %ui keys in \"%V\" are shorter than 16 "
                           "bytes", weak, n, name);
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_atls_psk_cmp(const void *one, const void *two)
{
    const ngx_http_atls_psk_t  *first, *second;

    first = one;
    second = two;

    return (int) ngx_memn2cmp(first->identity.data, second->identity.data,
                              first->identity.len, second->identity.len);
}


static void
ngx_http_atls_psk_cleanup(void *data)
{
    ngx_http_atls_psks_t *psks = data;

    if (psks->data.len) {
        ngx_explicit_memzero(psks->data.data, psks->data.len);
    }
}


static ngx_http_atls_psk_t *
ngx_http_atls_psk_find(ngx_http_atls_psks_t *psks, const u_char *identity,
    size_t len)
{
    ngx_http_atls_psk_t  psk;

    if (psks == NULL || len > NGX_HTTP_ATLS_PSK_MAX_IDENTITY) {
        return NULL;
    }

    psk.identity.len = len;
    psk.identity.data = (u_char *) identity;

    return bsearch(&psk, psks->elements.elts, psks->elements.nelts,
                   sizeof(ngx_http_atls_psk_t), ngx_http_atls_psk_cmp);
}


uint64_t
ngx_http_atls_psk_policy(ngx_http_atls_psks_t *psks, ngx_str_t *identity)
{
    ngx_http_atls_psk_t  *psk;

    psk = ngx_http_atls_psk_find(psks, identity->data, identity->len);

    return psk ? psk->policy : 0;
}


ngx_int_t
ngx_http_atls_psk_conf(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    if (alcf->psks == NULL) {
        return NGX_OK;
    }

    SSL_CTX_set_psk_find_session_callback(alcf->ssl->ctx,
                                          ngx_http_atls_psk_find_session);
    SSL_CTX_set_psk_server_callback(alcf->ssl->ctx, ngx_http_atls_psk_server);

    return NGX_OK;
}


/*
 * TLS 1.3.  If the identity is unknown, it may be a session ticket: OpenSSL
 * tries to decrypt it, then continues with the next identity and, if there are
 * no more, with a certificate.
 */

static int
ngx_http_atls_psk_find_session(ngx_ssl_conn_t *ssl, const u_char *identity,
    size_t len, SSL_SESSION **session)
{
    const SSL_CIPHER      *cipher;
    ngx_http_atls_psk_t   *psk;
    ngx_http_atls_peer_t  *peer;

    *session = NULL;

    peer = ngx_http_atls_peer_get(ssl);

    psk = ngx_http_atls_psk_find(peer->target.tls->psks, identity, len);
    if (psk == NULL) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                       "atls pre-shared key not found, identity of %uz bytes",
                       len);
        return 1;
    }

    /* the suite of the handshake is already selected by OpenSSL */

    cipher = SSL_get_pending_cipher(ssl);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                   "atls pre-shared key of line %ui, suite:%s", psk->line,
                   cipher ? SSL_CIPHER_get_name(cipher) : "none");

    if (cipher == NULL || !ngx_http_atls_hello_suitable(cipher)) {
        return 1;
    }

    *session = ngx_http_atls_hello_session(psk->key.data, psk->key.len,
                                           cipher);

    if (*session == NULL) {
        return 0;
    }

    if (ngx_http_atls_peer_set_psk(peer, identity, len) != NGX_OK) {
        SSL_SESSION_free(*session);
        *session = NULL;
        return 0;
    }

    /* tickets would not be accepted: see ngx_http_atls_ticket_open() */

    SSL_set_num_tickets(ssl, 0);

    return 1;
}


/* TLS 1.2 */

static unsigned int
ngx_http_atls_psk_server(ngx_ssl_conn_t *ssl, const char *identity,
    u_char *key, unsigned int max)
{
    size_t                 len;
    ngx_http_atls_psk_t   *psk;
    ngx_http_atls_peer_t  *peer;

    /* in TLS 1.3, called after the other callback with the same identity */

    if (SSL_version(ssl) == TLS1_3_VERSION) {
        return 0;
    }

    peer = ngx_http_atls_peer_get(ssl);

    len = ngx_strlen(identity);

    psk = ngx_http_atls_psk_find(peer->target.tls->psks,
                                 (const u_char *) identity, len);

    if (psk == NULL || psk->key.len > max
        || ngx_http_atls_peer_set_psk(peer, (const u_char *) identity, len)
           != NGX_OK)
    {
        return 0;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                   "atls pre-shared key of line %ui, TLS 1.2", psk->line);

    ngx_memcpy(key, psk->key.data, psk->key.len);

    return (unsigned int) psk->key.len;
}


ngx_int_t
ngx_http_atls_psk_client_hello(ngx_ssl_conn_t *ssl, ngx_http_atls_psks_t *psks)
{
    /* SSL_set_SSL_CTX() does not change the callbacks */

    SSL_set_psk_find_session_callback(ssl,
                              psks ? ngx_http_atls_psk_find_session : NULL);
    SSL_set_psk_server_callback(ssl, psks ? ngx_http_atls_psk_server : NULL);

    if (psks == NULL
        || !ngx_http_atls_hello_find_psk(ssl, ngx_http_atls_psk_known, psks))
    {
        return NGX_OK;
    }

    /* without such a suite, a certificate may be used */

    return ngx_http_atls_hello_set_suites(ssl) == NGX_ERROR ? NGX_ERROR
                                                            : NGX_OK;
}


static ngx_uint_t
ngx_http_atls_psk_known(void *data, ngx_str_t *identity)
{
    ngx_http_atls_psks_t *psks = data;

    return ngx_http_atls_psk_find(psks, identity->data, identity->len) != NULL;
}
