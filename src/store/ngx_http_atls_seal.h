
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Sealing of sessions for the store: AES-256-GCM, with the id of the session as
 * associated data.
 */


#ifndef _NGX_HTTP_ATLS_SEAL_H_INCLUDED_
#define _NGX_HTTP_ATLS_SEAL_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_store_conf.h"


#define NGX_HTTP_ATLS_SEAL_SALT      16
#define NGX_HTTP_ATLS_SEAL_AEAD_TAG  16

/* What sealing adds: the key's name, the salt and the tag. */

#define NGX_HTTP_ATLS_SEAL_OVERHEAD                                           \
    (NGX_HTTP_ATLS_STORE_NAME_LEN + NGX_HTTP_ATLS_SEAL_SALT                   \
     + NGX_HTTP_ATLS_SEAL_AEAD_TAG)


/*
 * Seals len bytes with the first key; dst must have room for them and the
 * overhead.  NGX_ERROR: logged.
 */

ngx_int_t ngx_http_atls_seal(ngx_http_atls_store_t *store, u_char *id,
    u_char *data, size_t len, u_char *dst, ngx_log_t *log);

/*
 * Opens sealed data with the key that has sealed them, in place: data is set to
 * the contents.  NGX_DECLINED: unknown key; NGX_ERROR: not those of this id.
 */

ngx_int_t ngx_http_atls_seal_open(ngx_http_atls_store_t *store, u_char *id,
    ngx_str_t *data, ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_SEAL_H_INCLUDED_ */
