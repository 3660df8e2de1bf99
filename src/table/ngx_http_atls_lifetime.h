
/*
 * The time limits of a session: those it was created with, or those of its
 * location now, if lower.  The configuration may be NULL if the location was
 * removed.
 */


#ifndef _NGX_HTTP_ATLS_LIFETIME_H_INCLUDED_
#define _NGX_HTTP_ATLS_LIFETIME_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"


/* Whether the session has exceeded its lifetime. */

ngx_uint_t ngx_http_atls_lifetime_over(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * Whether the session, if it is idle, has exceeded its lifetime or its idle
 * timeout.
 */

ngx_uint_t ngx_http_atls_lifetime_expired(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * The Max-Age of the cookie of a session of the caller, in seconds, if the
 * client has to learn it, and 0 if the client knows it.  The cookie must not
 * expire while the session can be used.
 *
 * used: the time of last use.  unfinished: the client has not sent all of a
 * request, or the connection is upgraded, so that the session continues even
 * beyond its limits.
 */

time_t ngx_http_atls_lifetime_cookie(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, int64_t used, ngx_uint_t unfinished);

/*
 * The same for the response to an empty POST of an upgraded connection.  It is
 * no use of the session, but its client may send nothing else; and it may be
 * from somebody else, so it does not count for ngx_http_atls_lifetime_cookie().
 */

time_t ngx_http_atls_lifetime_poll(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);

/*
 * The rest of the Max-Age, for a response that is sent again.  It may be sent
 * to somebody else, so it does not count for ngx_http_atls_lifetime_cookie().
 * 0: the session has no cookie.
 */

time_t ngx_http_atls_lifetime_rest(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);


#endif /* _NGX_HTTP_ATLS_LIFETIME_H_INCLUDED_ */
