
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * POSTs for sessions that are not on this machine: the POST is suspended while
 * the store is asked, and while another machine is being connected to.
 */


#ifndef _NGX_HTTP_ATLS_ELSEWHERE_H_INCLUDED_
#define _NGX_HTTP_ATLS_ELSEWHERE_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_link.h"
#include "ngx_http_atls_lookup.h"


/*
 * Continues a POST; returns a code for ngx_http_finalize_request(), or, after
 * ngx_http_atls_elsewhere_next(), NGX_AGAIN.
 */

typedef ngx_int_t (*ngx_http_atls_elsewhere_pt)(
    ngx_http_atls_elsewhere_t *elsewhere);

struct ngx_http_atls_elsewhere_s {
    ngx_http_atls_post_t        *post;
    ngx_str_t                    text;         /* identifier of the session */
    ngx_http_atls_elsewhere_pt   handler;

    ngx_http_atls_found_e        found;        /* node: link has a connection */
    ngx_http_atls_lookup_t       lookup;
    ngx_http_atls_link_t         link;
    ngx_http_atls_relay_t       *relay;        /* to that node */
    ngx_event_t                  timer;        /* until it is asked again */
    ngx_msec_t                   began;        /* the first time, or when the
                                                  machine has refused it */
    ngx_msec_t                   pause;        /* before the next one */
    ngx_uint_t                   tried;        /* identifiers */

    unsigned                     here:1;       /* another machine has decided
                                                  that it is here */
    unsigned                     refused:1;
};


/*
 * Suspends a POST with an unread body.  id: with the tag; the text is copied.
 * here: the POST was relayed to this machine, and is not relayed again.  NULL:
 * no memory; otherwise the content handler must return NGX_DONE.
 */

ngx_http_atls_elsewhere_t *ngx_http_atls_elsewhere(ngx_http_atls_post_t *post,
    u_char *id, ngx_str_t *text, ngx_uint_t here,
    ngx_http_atls_elsewhere_pt handler);

/* In the handler: looks for another session instead; the text is not copied. */

void ngx_http_atls_elsewhere_next(ngx_http_atls_elsewhere_t *elsewhere,
    u_char *id, ngx_str_t *text);


#endif /* _NGX_HTTP_ATLS_ELSEWHERE_H_INCLUDED_ */
