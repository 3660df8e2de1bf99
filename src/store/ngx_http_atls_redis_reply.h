
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* What a reply of the store says. */


#ifndef _NGX_HTTP_ATLS_REDIS_REPLY_H_INCLUDED_
#define _NGX_HTTP_ATLS_REDIS_REPLY_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_redis.h"

#if (NGX_HTTP_ATLS_HIREDIS)

#include <hiredis/hiredis.h>


/* Whether it is an error of a server that has not executed the command. */

ngx_uint_t ngx_http_atls_redis_unexecuted(redisReply *r);

/* Whether it is an error, and begins with this code and a space. */

ngx_uint_t ngx_http_atls_redis_begins(redisReply *r, const char *code);

/* The text of an error, for the log; changes the reply. */

const char *ngx_http_atls_redis_error(redisReply *r);

/* Adds a value that is a string; others are ignored. */

void ngx_http_atls_redis_value(redisReply *r, ngx_http_atls_reply_t *reply);


#endif


#endif /* _NGX_HTTP_ATLS_REDIS_REPLY_H_INCLUDED_ */
