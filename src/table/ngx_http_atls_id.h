
/*
 * The identifier of a session as text: in cookies, URIs and relayed POSTs.
 */


#ifndef _NGX_HTTP_ATLS_ID_H_INCLUDED_
#define _NGX_HTTP_ATLS_ID_H_INCLUDED_


#include "ngx_http_atls.h"


#define NGX_HTTP_ATLS_ID_TEXT_LEN  24          /* base64url of id and tag */


/*
 * Decodes the id of a session, followed by its tag; NGX_DECLINED if the text
 * is invalid.
 */

ngx_int_t ngx_http_atls_id_decode(ngx_str_t *text, u_char *id);

/*
 * Encodes the id of a session and its tag, which is NULL if this machine has
 * created the session.  buf: of the size above.  NGX_ERROR: the tag cannot be
 * calculated.
 */

ngx_int_t ngx_http_atls_id_encode(ngx_shm_zone_t *zone, u_char *id,
    u_char *tag, u_char *buf, ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_ID_H_INCLUDED_ */
