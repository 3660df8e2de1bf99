
/*
 * The session cookie (atls_cookie).
 */


#ifndef _NGX_HTTP_ATLS_COOKIE_H_INCLUDED_
#define _NGX_HTTP_ATLS_COOKIE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"


typedef struct {
    ngx_str_t                 *name;
    ngx_list_part_t           *part;           /* of request headers */
    ngx_uint_t                 next;           /* index of the next header */
    u_char                    *pos;            /* in a Cookie header */
    u_char                    *last;
} ngx_http_atls_cookies_t;


/* The handler of the "atls_cookie" directive. */

char *ngx_http_atls_cookie(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Sets default values, and builds the attributes. */

void ngx_http_atls_cookie_merge(ngx_http_atls_cookie_t *conf,
    ngx_http_atls_cookie_t *prev);
ngx_int_t ngx_http_atls_cookie_conf(ngx_conf_t *cf,
    ngx_http_atls_cookie_t *cookie);

/*
 * Iterates over the values of cookies with a name, in all Cookie headers of a
 * request.  The second function returns 0 if there are no more.  Unlike in
 * core, names are case-sensitive (RFC 6265).
 */

void ngx_http_atls_cookies(ngx_http_request_t *r, ngx_str_t *name,
    ngx_http_atls_cookies_t *cookies);
ngx_uint_t ngx_http_atls_cookie_next(ngx_http_atls_cookies_t *cookies,
    ngx_str_t *value);

/* Whether a request has a cookie with a name and a value. */

ngx_uint_t ngx_http_atls_cookie_has(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);

/*
 * Builds the value of the Set-Cookie header for the id of a session, allocated
 * from the pool of the request; if the id is NULL, the cookie is expired.  tag:
 * of the id, or NULL.  age: Max-Age in seconds.  secure: the client uses TLS.
 */

ngx_int_t ngx_http_atls_cookie_header(ngx_http_request_t *r,
    ngx_http_atls_cookie_t *cookie, u_char *id, u_char *tag, time_t age,
    ngx_uint_t secure, ngx_str_t *value);


#endif /* _NGX_HTTP_ATLS_COOKIE_H_INCLUDED_ */
