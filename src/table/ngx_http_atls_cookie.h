
/*
 * The cookie that a session is known by (atls_cookie).
 */


#ifndef _NGX_HTTP_ATLS_COOKIE_H_INCLUDED_
#define _NGX_HTTP_ATLS_COOKIE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"


#define NGX_HTTP_ATLS_COOKIE_LEN  24           /* id and tag, in base64url */


typedef struct {
    ngx_str_t                 *name;
    ngx_list_part_t           *part;           /* of the request's headers */
    ngx_uint_t                 next;           /* header in it */
    u_char                    *pos;            /* in a Cookie header */
    u_char                    *last;
} ngx_http_atls_cookies_t;


/* The handler of the "atls_cookie" directive. */

char *ngx_http_atls_cookie(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Sets the default, and the attributes from all that is set. */

void ngx_http_atls_cookie_merge(ngx_http_atls_cookie_t *conf,
    ngx_http_atls_cookie_t *prev);
ngx_int_t ngx_http_atls_cookie_conf(ngx_conf_t *cf,
    ngx_http_atls_cookie_t *cookie);

/*
 * A request's cookies of a name, in whatever headers, and the next one's value;
 * 0 if there is none.  Unlike core, this takes names by case (RFC 6265).
 */

void ngx_http_atls_cookies(ngx_http_request_t *r, ngx_str_t *name,
    ngx_http_atls_cookies_t *cookies);
ngx_uint_t ngx_http_atls_cookie_next(ngx_http_atls_cookies_t *cookies,
    ngx_str_t *value);

/*
 * The id of a session and the tag behind it, of a cookie's value; NGX_DECLINED
 * if it can't be one.
 */

ngx_int_t ngx_http_atls_cookie_id(ngx_str_t *value, u_char *id);

/*
 * The value of the Set-Cookie header for a session's id, or the one that makes
 * the client forget it, if NULL; from the request's pool.  secure: the client's
 * connection is one over TLS.
 */

ngx_int_t ngx_http_atls_cookie_header(ngx_http_request_t *r,
    ngx_http_atls_cookie_t *cookie, u_char *id, ngx_uint_t secure,
    ngx_str_t *value);


#endif /* _NGX_HTTP_ATLS_COOKIE_H_INCLUDED_ */
