
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Decides whether a session is kept, closed or dropped at the end of its POST;
 * for the actions, see ngx_http_atls_finish_session.
 */


#ifndef _NGX_HTTP_ATLS_FATE_H_INCLUDED_
#define _NGX_HTTP_ATLS_FATE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_ending.h"


typedef enum {
    ngx_http_atls_fate_keep = 0,               /* stored in the zone */
    ngx_http_atls_fate_close,                  /* ended, with an alert if
                                                  possible */
    ngx_http_atls_fate_drop                    /* removed without an alert */
} ngx_http_atls_fate_e;


/*
 * status: NGX_OK: the POST was served; a status or a problem: the reason why
 * not; NGX_ERROR: the client is gone.
 */

ngx_http_atls_fate_e ngx_http_atls_fate(const ngx_http_atls_post_t *post,
    ngx_int_t status);

/* The alert that closes an established session. */

#define NGX_HTTP_ATLS_NO_ALERT  (-1)

ngx_int_t ngx_http_atls_fate_alert(const ngx_http_atls_post_t *post);

/* Why the session ends, if it does. */

ngx_http_atls_ending_e ngx_http_atls_fate_reason(
    const ngx_http_atls_post_t *post, ngx_int_t status);

/* What became of a POST without a problem. */

ngx_http_atls_outcome_e ngx_http_atls_fate_outcome(
    const ngx_http_atls_post_t *post);


#endif /* _NGX_HTTP_ATLS_FATE_H_INCLUDED_ */
