
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_seal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>


static EVP_CIPHER_CTX *ngx_http_atls_seal_begin(ngx_http_atls_store_key_t *key,
    u_char *salt, u_char *id, int enc);
static ngx_http_atls_store_key_t *ngx_http_atls_seal_key(
    ngx_http_atls_store_t *store, u_char *name);


ngx_int_t
ngx_http_atls_seal(ngx_http_atls_store_t *store, u_char *id, u_char *data,
    size_t len, u_char *dst, ngx_log_t *log)
{
    int                         n;
    u_char                     *salt;
    ngx_int_t                   rc;
    EVP_CIPHER_CTX             *ctx;
    ngx_http_atls_store_key_t  *key;

    key = store->keys.elts;
    salt = ngx_cpymem(dst, key->name, NGX_HTTP_ATLS_STORE_NAME_LEN);
    dst = salt + NGX_HTTP_ATLS_SEAL_SALT;

    rc = NGX_ERROR;
    ctx = NULL;

    if (RAND_bytes(salt, NGX_HTTP_ATLS_SEAL_SALT) != 1) {
        goto done;
    }

    ctx = ngx_http_atls_seal_begin(key, salt, id, 1);

    if (ctx
        && EVP_EncryptUpdate(ctx, dst, &n, data, (int) len) == 1
        && EVP_EncryptFinal_ex(ctx, dst + n, &n) == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG,
                               NGX_HTTP_ATLS_SEAL_AEAD_TAG, dst + len)
           == 1)
    {
        rc = NGX_OK;
    }

done:

    if (rc != NGX_OK) {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "atls session cannot be sealed");
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


/*
 * Each session that is put out is sealed under a key of its own, derived from a
 * random salt, so its nonce may be constant.  Random nonces under a single key
 * would be limited to 2^32 sessions (NIST SP 800-38D, section 8.3), which is a
 * few days of POSTs with "each"; two of 2^48 salts are equal with a probability
 * of 2^-33.
 */

static EVP_CIPHER_CTX *
ngx_http_atls_seal_begin(ngx_http_atls_store_key_t *key, u_char *salt,
    u_char *id, int enc)
{
    int              n;
    u_char           secret[EVP_MAX_MD_SIZE];
    EVP_CIPHER_CTX  *ctx;

    static u_char    nonce[12];

    ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL
        || HMAC(EVP_sha256(), key->seal, NGX_HTTP_ATLS_STORE_KEY_LEN, salt,
                NGX_HTTP_ATLS_SEAL_SALT, secret, NULL)
           == NULL
        || EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, secret, nonce, enc)
           != 1
        || EVP_CipherUpdate(ctx, NULL, &n, id, NGX_HTTP_ATLS_ID_LEN) != 1)
    {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }

    ngx_explicit_memzero(secret, sizeof(secret));

    return ctx;
}


ngx_int_t
ngx_http_atls_seal_open(ngx_http_atls_store_t *store, u_char *id,
    ngx_str_t *data, ngx_log_t *log)
{
    int                         n;
    u_char                     *salt, *text;
    size_t                      len;
    ngx_int_t                   rc;
    EVP_CIPHER_CTX             *ctx;
    ngx_http_atls_store_key_t  *key;

    if (data->len < NGX_HTTP_ATLS_SEAL_OVERHEAD) {
        return NGX_DECLINED;
    }

    key = ngx_http_atls_seal_key(store, data->data);
    if (key == NULL) {
        return NGX_DECLINED;
    }

    salt = data->data + NGX_HTTP_ATLS_STORE_NAME_LEN;
    text = salt + NGX_HTTP_ATLS_SEAL_SALT;
    len = data->len - NGX_HTTP_ATLS_SEAL_OVERHEAD;

    rc = NGX_ERROR;
    ctx = ngx_http_atls_seal_begin(key, salt, id, 0);

    if (ctx
        && EVP_DecryptUpdate(ctx, text, &n, text, (int) len) == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG,
                               NGX_HTTP_ATLS_SEAL_AEAD_TAG, text + len)
           == 1
        && EVP_DecryptFinal_ex(ctx, text + n, &n) == 1)
    {
        rc = NGX_OK;
    }

    data->data = text;
    data->len = len;

    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();

    return rc;
}


static ngx_http_atls_store_key_t *
ngx_http_atls_seal_key(ngx_http_atls_store_t *store, u_char *name)
{
    ngx_uint_t                  i;
    ngx_http_atls_store_key_t  *key;

    key = store->keys.elts;

    for (i = 0; i < store->keys.nelts; i++) {
        if (ngx_memcmp(key[i].name, name, NGX_HTTP_ATLS_STORE_NAME_LEN) == 0) {
            return &key[i];
        }
    }

    return NULL;
}
