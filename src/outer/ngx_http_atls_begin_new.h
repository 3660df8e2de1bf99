
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * A new session for a POST, and its handshake: when its time is over, it is
 * extended, or the POST ends.
 */


#ifndef _NGX_HTTP_ATLS_BEGIN_NEW_H_INCLUDED_
#define _NGX_HTTP_ATLS_BEGIN_NEW_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Creates a session, and post->handshake.  The second function does so in place
 * of the session named by the POST, which is put back.  NGX_OK, or a status or
 * a problem.
 */

ngx_int_t ngx_http_atls_begin_new_session(ngx_http_atls_post_t *post);
ngx_int_t ngx_http_atls_begin_another(ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_BEGIN_NEW_H_INCLUDED_ */
