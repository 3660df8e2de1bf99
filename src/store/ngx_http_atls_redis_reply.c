
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_redis.h"
#include "ngx_http_atls_redis_reply.h"


#if (NGX_HTTP_ATLS_HIREDIS)

#define NGX_HTTP_ATLS_REDIS_ERROR      100     /* of a text in the log */


/* Errors of a server that has not executed the command. */

static const char  *ngx_http_atls_redis_codes[] = {
    "ASK ",
    "BUSY ",
    "CLUSTERDOWN ",
    "CROSSSLOT ",
    "ERR unknown command ",
    "LOADING ",
    "MASTERDOWN ",
    "MISCONF ",
    "MOVED ",
    "NOAUTH ",
    "NOPERM ",
    "NOREPLICAS ",
    "NOSCRIPT ",
    "OOM ",
    "READONLY ",
    "TRYAGAIN ",
    NULL
};


/*
 * Other errors may be those of a proxy that has passed the command on, and does
 * not know what became of it.  A script that fails has not written: writing is
 * the last thing it does.
 */

ngx_uint_t
ngx_http_atls_redis_unexecuted(redisReply *r)
{
    const char  **code;

    if (r->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    for (code = ngx_http_atls_redis_codes; *code; code++) {
        if (ngx_http_atls_redis_begins(r, *code)) {
            return 1;
        }
    }

    return ngx_strstr(r->str, "user_script") != NULL;
}


ngx_uint_t
ngx_http_atls_redis_begins(redisReply *r, const char *code)
{
    return r->type == REDIS_REPLY_ERROR
           && ngx_strncmp(r->str, code, ngx_strlen(code)) == 0;
}


/* Without control characters: who pretends to be the store could add lines. */

const char *
ngx_http_atls_redis_error(redisReply *r)
{
    size_t  i;

    for (i = 0; i < (size_t) r->len && i < NGX_HTTP_ATLS_REDIS_ERROR; i++) {
        if ((u_char) r->str[i] < ' ' || r->str[i] == 0x7f) {
            r->str[i] = '?';
        }
    }

    r->str[i] = '\0';

    return r->str;
}


void
ngx_http_atls_redis_value(redisReply *r, ngx_http_atls_reply_t *reply)
{
    if (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS) {
        reply->values[reply->nvalues].data = (u_char *) r->str;
        reply->values[reply->nvalues].len = r->len;
        reply->nvalues++;
    }
}


#endif
