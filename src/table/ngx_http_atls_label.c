
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"

#include <openssl/evp.h>


ngx_int_t
ngx_http_atls_label_hash(u_char *id, u_char *hash, ngx_log_t *log)
{
    u_char  md[EVP_MAX_MD_SIZE];

    if (EVP_Digest(id, NGX_HTTP_ATLS_ID_LEN, md, NULL, EVP_sha256(), NULL)
        != 1)
    {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "EVP_Digest() failed");
        return NGX_ERROR;
    }

    ngx_memcpy(hash, md, NGX_HTTP_ATLS_ID_LEN);

    return NGX_OK;
}


uint32_t
ngx_http_atls_label(u_char *id, ngx_log_t *log)
{
#if (NGX_DEBUG)

    u_char  hash[NGX_HTTP_ATLS_ID_LEN];

    if ((log->log_level & NGX_LOG_DEBUG_HTTP)
        && ngx_http_atls_label_hash(id, hash, log) == NGX_OK)
    {
        return ((uint32_t) hash[0] << 24) + (hash[1] << 16) + (hash[2] << 8)
               + hash[3];
    }

#endif

    return 0;
}
