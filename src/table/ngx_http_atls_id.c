
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_id.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_tag.h"


/* The tag is ignored: only the id is secret and random. */

ngx_int_t
ngx_http_atls_id_decode(ngx_str_t *text, u_char *id)
{
    u_char     buf[NGX_HTTP_ATLS_ID_TEXT_LEN];
    ngx_str_t  dst;

    if (text->len != NGX_HTTP_ATLS_ID_TEXT_LEN) {
        return NGX_DECLINED;
    }

    dst.data = buf;

    if (ngx_decode_base64url(&dst, text) != NGX_OK
        || dst.len != NGX_HTTP_ATLS_ID_LEN + NGX_HTTP_ATLS_TAG_LEN)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(id, buf, NGX_HTTP_ATLS_ID_LEN + NGX_HTTP_ATLS_TAG_LEN);

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_id_encode(ngx_shm_zone_t *zone, u_char *id, u_char *tag,
    u_char *buf, ngx_log_t *log)
{
    u_char     bytes[NGX_HTTP_ATLS_ID_LEN + NGX_HTTP_ATLS_TAG_LEN], *p;
    ngx_str_t  src, dst;

    p = ngx_cpymem(bytes, id, NGX_HTTP_ATLS_ID_LEN);

    if (tag) {
        ngx_memcpy(p, tag, NGX_HTTP_ATLS_TAG_LEN);

    } else if (ngx_http_atls_session_tag(zone, id, p, log) != NGX_OK) {
        return NGX_ERROR;
    }

    src.data = bytes;
    src.len = sizeof(bytes);
    dst.data = buf;

    ngx_encode_base64url(&dst, &src);

    return NGX_OK;
}
