
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_derive.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_file.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_associations.h"
#include "ngx_http_atls_association.h"

#include <openssl/evp.h>


#define NGX_HTTP_ATLS_ASSOCIATION_VERSION  1

/* Changed with the structure, and different in another byte order. */

#define NGX_HTTP_ATLS_ASSOCIATION_LAYOUT   1

/*
 * The maximum size, in bytes: identities are sent in the ClientHello, some of
 * whose receivers, on the path, do not expect many packets.
 */

#define NGX_HTTP_ATLS_ASSOCIATION_MAX      8192

#define NGX_HTTP_ATLS_ASSOCIATION_TAG      16

#define NGX_HTTP_ATLS_ASSOCIATION_HEADER                                      \
    (1 + NGX_HTTP_ATLS_ASSOCIATION_NAME_LEN + NGX_HTTP_ATLS_ASSOCIATION_ID)

#define NGX_HTTP_ATLS_ASSOCIATION_OVERHEAD                                    \
    (NGX_HTTP_ATLS_ASSOCIATION_HEADER + NGX_HTTP_ATLS_ASSOCIATION_TAG)


/*
 * The plaintext, followed by the identity of the client.  Machines that share
 * key files must have the same layout: there is no padding.
 */

typedef struct {
    uint64_t                           layout;
    uint64_t                           policy;
    uint64_t                           expires;
    uint64_t                           zone;
    uint64_t                           number;
    uint64_t                           verify_error;
    u_char                             server[NGX_HTTP_ATLS_ASSOCIATION_SERVER];
    u_char                             key[NGX_HTTP_ATLS_ASSOCIATION_KEY];
} ngx_http_atls_association_plain_t;


/* Keys of files: the first one seals. */

struct ngx_http_atls_association_keys_s {
    ngx_uint_t                         n;
    ngx_http_atls_association_key_t    keys[1];
};


static ngx_http_atls_association_keys_t *ngx_http_atls_association_load(
    ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf);
static ngx_int_t ngx_http_atls_association_derive(ngx_conf_t *cf,
    ngx_str_t *file, ngx_http_atls_association_key_t *key);
static void ngx_http_atls_association_wipe(void *data);
static void ngx_http_atls_association_write(
    ngx_http_atls_association_t *association, u_char *p);
static ngx_int_t ngx_http_atls_association_read(
    ngx_http_atls_association_t *association, u_char *p, size_t len);
static ngx_int_t ngx_http_atls_association_find_key(
    ngx_http_atls_loc_conf_t *alcf, ngx_shm_zone_t *zone, u_char *name,
    ngx_http_atls_association_key_t *key);
static ngx_int_t ngx_http_atls_association_crypt(ngx_str_t *sealed,
    u_char *secret, int enc);
static EVP_CIPHER_CTX *ngx_http_atls_association_cipher(u_char *header,
    u_char *secret, int enc);


ngx_int_t
ngx_http_atls_association_conf(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    if (alcf->session_ticket_keys == NULL) {
        alcf->association_keys = NULL;
        return NGX_OK;
    }

    /* inherited together with the files */

    if (alcf->outer && alcf->outer->association_keys
        && alcf->outer->session_ticket_keys == alcf->session_ticket_keys)
    {
        alcf->association_keys = alcf->outer->association_keys;
        return NGX_OK;
    }

    alcf->association_keys = ngx_http_atls_association_load(cf, alcf);

    return alcf->association_keys ? NGX_OK : NGX_ERROR;
}


static ngx_http_atls_association_keys_t *
ngx_http_atls_association_load(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    size_t                             size;
    ngx_str_t                         *files;
    ngx_uint_t                         i;
    ngx_pool_cleanup_t                *cln;
    ngx_http_atls_association_keys_t  *keys;

    files = alcf->session_ticket_keys->elts;

    size = sizeof(ngx_http_atls_association_keys_t)
           + alcf->session_ticket_keys->nelts
             * sizeof(ngx_http_atls_association_key_t);

    cln = ngx_pool_cleanup_add(cf->pool, size);
    if (cln == NULL) {
        return NULL;
    }

    ngx_memzero(cln->data, size);

    cln->handler = ngx_http_atls_association_wipe;
    keys = cln->data;

    for (i = 0; i < alcf->session_ticket_keys->nelts; i++) {

        if (ngx_http_atls_association_derive(cf, &files[i], &keys->keys[i])
            != NGX_OK)
        {
            (void) ngx_http_atls_note_refuse(cf, alcf,
                                             "atls_session_ticket_key", i);
            return NULL;
        }

        keys->n++;
    }

    /* in the master, algorithms are not needed again */

    trl_hash_cleanup();

    return keys;
}


/* Each key is used for one purpose; the sizes are those of nginx. */

static ngx_int_t
ngx_http_atls_association_derive(ngx_conf_t *cf, ngx_str_t *file,
    ngx_http_atls_association_key_t *key)
{
    u_char       buf[81];
    ssize_t      n;
    ngx_int_t    rc;
    trl_seed_t   salt, secret;

    static const trl_label_t  name = trl_label("atls association name");
    static const trl_label_t  seal = trl_label("atls association seal");

    n = ngx_http_atls_file_read(cf, file, buf, sizeof(buf));

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    salt.data = (u_char *) "";
    salt.len = 0;
    secret.data = buf;
    secret.len = n;

    if (n != 48 && n != 80) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must be 48 or 80 bytes", file);

    } else if (trl_hkdf(&salt, &secret, &name, key->name, sizeof(key->name))
               == -1
               || trl_hkdf(&salt, &secret, &seal, key->secret,
                           sizeof(key->secret))
                  == -1)
    {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0, "HKDF failed");

    } else {
        rc = NGX_OK;
    }

    ngx_explicit_memzero(buf, sizeof(buf));

    return rc;
}


static void
ngx_http_atls_association_wipe(void *data)
{
    ngx_http_atls_association_keys_t *keys = data;

    ngx_explicit_memzero(keys->keys,
                         keys->n * sizeof(ngx_http_atls_association_key_t));
}


ngx_int_t
ngx_http_atls_association_name(ngx_http_atls_association_t *association,
    ngx_str_t *name)
{
    u_char  buf[TLSEXT_MAXLEN_host_name], hash[EVP_MAX_MD_SIZE];
    size_t  len;

    len = name->len;

    if (len && name->data[len - 1] == '.') {
        len--;
    }

    if (len > TLSEXT_MAXLEN_host_name) {
        return NGX_DECLINED;
    }

    ngx_strlow(buf, name->data, len);

    if (EVP_Digest(buf, len, hash, NULL, EVP_sha256(), NULL) != 1) {
        return NGX_ERROR;
    }

    ngx_memcpy(association->server, hash, NGX_HTTP_ATLS_ASSOCIATION_SERVER);

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_association_seal(ngx_http_atls_association_t *association,
    time_t lifetime, ngx_http_atls_loc_conf_t *alcf, ngx_shm_zone_t *zone,
    ngx_str_t *text, ngx_pool_t *pool)
{
    u_char                           *p;
    size_t                            len;
    ngx_int_t                         rc;
    ngx_str_t                         sealed;
    ngx_http_atls_association_key_t   key;

    len = ngx_http_atls_identity_size(&association->identity);

    if (len == 0) {
        return NGX_DECLINED;
    }

    len += sizeof(ngx_http_atls_association_plain_t);

    sealed.len = len + NGX_HTTP_ATLS_ASSOCIATION_OVERHEAD;

    if (sealed.len > NGX_HTTP_ATLS_ASSOCIATION_MAX) {
        return NGX_DECLINED;
    }

    sealed.data = ngx_pnalloc(pool, sealed.len);
    text->data = ngx_pnalloc(pool, ngx_base64_encoded_length(sealed.len));

    if (sealed.data == NULL || text->data == NULL) {
        return NGX_ERROR;
    }

    if (alcf->association_keys) {
        key = alcf->association_keys->keys[0];

    } else if (ngx_http_atls_associations_key(zone, lifetime, &key, pool->log)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = sealed.data;
    *p++ = NGX_HTTP_ATLS_ASSOCIATION_VERSION;
    p = ngx_cpymem(p, key.name, NGX_HTTP_ATLS_ASSOCIATION_NAME_LEN);
    p = ngx_cpymem(p, association->id, NGX_HTTP_ATLS_ASSOCIATION_ID);

    ngx_http_atls_association_write(association, p);

    rc = ngx_http_atls_association_crypt(&sealed, key.secret, 1);

    ngx_explicit_memzero(&key, sizeof(ngx_http_atls_association_key_t));

    if (rc != NGX_OK) {
        ngx_explicit_memzero(sealed.data, sealed.len);
        ngx_ssl_error(NGX_LOG_ALERT, pool->log, 0,
                      "atls association cannot be sealed");
        return NGX_ERROR;
    }

    ngx_encode_base64url(text, &sealed);

    return NGX_OK;
}


static void
ngx_http_atls_association_write(ngx_http_atls_association_t *association,
    u_char *p)
{
    ngx_http_atls_association_plain_t  plain;

    plain.layout = NGX_HTTP_ATLS_ASSOCIATION_LAYOUT;
    plain.policy = association->policy;
    plain.expires = association->expires;
    plain.zone = association->once.zone;
    plain.number = association->once.number;
    plain.verify_error = association->verify_error;

    ngx_memcpy(plain.server, association->server, sizeof(plain.server));
    ngx_memcpy(plain.key, association->key, sizeof(plain.key));

    p = ngx_cpymem(p, &plain, sizeof(ngx_http_atls_association_plain_t));

    ngx_http_atls_identity_write(&association->identity, p);

    ngx_explicit_memzero(&plain, sizeof(ngx_http_atls_association_plain_t));
}


ngx_int_t
ngx_http_atls_association_open(ngx_http_atls_association_t *association,
    ngx_http_atls_loc_conf_t *alcf, ngx_shm_zone_t *zone, ngx_str_t *text,
    ngx_pool_t *pool)
{
    u_char                           *p;
    ngx_int_t                         rc;
    ngx_str_t                         sealed;
    ngx_http_atls_association_key_t   key;

    if (text->len > ngx_base64_encoded_length(NGX_HTTP_ATLS_ASSOCIATION_MAX)) {
        return NGX_DECLINED;
    }

    sealed.data = ngx_pnalloc(pool, ngx_base64_decoded_length(text->len));
    if (sealed.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64url(&sealed, text) != NGX_OK
        || sealed.len < NGX_HTTP_ATLS_ASSOCIATION_OVERHEAD
                        + sizeof(ngx_http_atls_association_plain_t)
        || sealed.data[0] != NGX_HTTP_ATLS_ASSOCIATION_VERSION)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_atls_association_find_key(alcf, zone, sealed.data + 1, &key)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_atls_association_crypt(&sealed, key.secret, 0);

    ngx_explicit_memzero(&key, sizeof(ngx_http_atls_association_key_t));

    if (rc == NGX_OK) {
        p = sealed.data + 1 + NGX_HTTP_ATLS_ASSOCIATION_NAME_LEN;

        ngx_memcpy(association->id, p, NGX_HTTP_ATLS_ASSOCIATION_ID);

        rc = ngx_http_atls_association_read(association,
                              p + NGX_HTTP_ATLS_ASSOCIATION_ID,
                              sealed.len - NGX_HTTP_ATLS_ASSOCIATION_OVERHEAD);
    }

    /* the text may contain the key, and is needed no longer if rejected */

    if (rc != NGX_OK) {
        ngx_explicit_memzero(sealed.data, sealed.len);
        ERR_clear_error();
    }

    return rc;
}


/* What is read is authentic; it is wiped, except for the client's identity. */

static ngx_int_t
ngx_http_atls_association_read(ngx_http_atls_association_t *association,
    u_char *p, size_t len)
{
    ngx_http_atls_association_plain_t  plain;

    ngx_memcpy(&plain, p, sizeof(ngx_http_atls_association_plain_t));
    ngx_explicit_memzero(p, sizeof(ngx_http_atls_association_plain_t));

    p += sizeof(ngx_http_atls_association_plain_t);
    len -= sizeof(ngx_http_atls_association_plain_t);

    association->policy = plain.policy;
    association->expires = (time_t) plain.expires;
    association->once.zone = plain.zone;
    association->once.number = plain.number;
    association->verify_error = plain.verify_error;

    ngx_memcpy(association->server, plain.server, sizeof(plain.server));
    ngx_memcpy(association->key, plain.key, sizeof(plain.key));

    ngx_explicit_memzero(plain.key, sizeof(plain.key));

    if (plain.layout != NGX_HTTP_ATLS_ASSOCIATION_LAYOUT
        || len < NGX_HTTP_ATLS_IDENTITY_FIELDS * sizeof(uint16_t))
    {
        return NGX_ERROR;
    }

    ngx_http_atls_identity_read(&association->identity, p);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_association_find_key(ngx_http_atls_loc_conf_t *alcf,
    ngx_shm_zone_t *zone, u_char *name, ngx_http_atls_association_key_t *key)
{
    ngx_uint_t                         i;
    ngx_http_atls_association_keys_t  *keys;

    keys = alcf->association_keys;

    if (keys == NULL) {
        return ngx_http_atls_associations_find(zone, name, key);
    }

    for (i = 0; i < keys->n; i++) {
        if (ngx_memcmp(keys->keys[i].name, name,
                       NGX_HTTP_ATLS_ASSOCIATION_NAME_LEN)
            == 0)
        {
            *key = keys->keys[i];
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* In place. */

static ngx_int_t
ngx_http_atls_association_crypt(ngx_str_t *sealed, u_char *secret, int enc)
{
    int              n, len;
    u_char          *p;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    p = sealed->data + NGX_HTTP_ATLS_ASSOCIATION_HEADER;
    len = (int) (sealed->len - NGX_HTTP_ATLS_ASSOCIATION_OVERHEAD);

    ctx = ngx_http_atls_association_cipher(sealed->data, secret, enc);
    rc = NGX_ERROR;

    if (ctx
        && EVP_CipherUpdate(ctx, p, &n, p, len) == 1
        && (enc || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG,
                                       NGX_HTTP_ATLS_ASSOCIATION_TAG, p + len)
                   == 1)
        && EVP_CipherFinal_ex(ctx, p + n, &n) == 1
        && (!enc || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG,
                                        NGX_HTTP_ATLS_ASSOCIATION_TAG, p + len)
                    == 1))
    {
        rc = NGX_OK;
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


static EVP_CIPHER_CTX *
ngx_http_atls_association_cipher(u_char *header, u_char *secret, int enc)
{
    int              n;
    u_char           key[32];
    trl_seed_t       salt, ikm;
    EVP_CIPHER_CTX  *ctx;

    static u_char             nonce[12];
    static const trl_label_t  info = trl_label("atls association aes-256-gcm");

    salt.data = header + 1 + NGX_HTTP_ATLS_ASSOCIATION_NAME_LEN;
    salt.len = NGX_HTTP_ATLS_ASSOCIATION_ID;
    ikm.data = secret;
    ikm.len = NGX_HTTP_ATLS_ASSOCIATION_SECRET_LEN;

    ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL
        || trl_hkdf(&salt, &ikm, &info, key, sizeof(key)) == -1
        || EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, enc) != 1
        || EVP_CipherUpdate(ctx, NULL, &n, header,
                            NGX_HTTP_ATLS_ASSOCIATION_HEADER)
           != 1)
    {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }

    ngx_explicit_memzero(key, sizeof(key));

    return ctx;
}
