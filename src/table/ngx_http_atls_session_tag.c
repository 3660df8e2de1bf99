
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_tag.h"
#include "ngx_http_atls_table.h"

#include <openssl/hmac.h>


ngx_int_t
ngx_http_atls_session_tag(ngx_shm_zone_t *zone, u_char *id, u_char *tag,
    ngx_log_t *log)
{
    ngx_uint_t             i;
    ngx_http_atls_zone_t  *z;

    z = zone->data;

    if (z->tag_key == NULL) {
        return ngx_http_atls_session_mask(z->table->key, id, tag, log);
    }

    if (ngx_http_atls_session_mask(z->tag_key, id, tag, log) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_ATLS_TAG_LEN; i++) {
        tag[i] ^= z->number[i];
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_session_mask(u_char *key, u_char *id, u_char *mask,
    ngx_log_t *log)
{
    u_char  md[EVP_MAX_MD_SIZE];

    if (HMAC(EVP_sha256(), key, NGX_HTTP_ATLS_KEY_LEN, id,
             NGX_HTTP_ATLS_ID_LEN, md, NULL)
        == NULL)
    {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "HMAC() failed");
        return NGX_ERROR;
    }

    ngx_memcpy(mask, md, NGX_HTTP_ATLS_TAG_LEN);

    return NGX_OK;
}


ngx_http_atls_take_e
ngx_http_atls_session_unknown(ngx_shm_zone_t *zone, u_char *id, ngx_log_t *log)
{
    u_char                 tag[NGX_HTTP_ATLS_TAG_LEN];
    ngx_http_atls_zone_t  *z;

    z = zone->data;

    if (ngx_http_atls_session_tag(zone, id, tag, log) != NGX_OK
        || CRYPTO_memcmp(id + NGX_HTTP_ATLS_ID_LEN, tag, NGX_HTTP_ATLS_TAG_LEN)
           == 0)
    {
        ngx_log_error(NGX_LOG_INFO, log, 0, "atls unknown session");
        return ngx_http_atls_take_unknown;
    }

    (void) ngx_atomic_fetch_add(&z->table->foreign, 1);

    ngx_log_error(NGX_LOG_INFO, log, 0, "atls session belongs to another zone");

    return ngx_http_atls_take_foreign;
}
