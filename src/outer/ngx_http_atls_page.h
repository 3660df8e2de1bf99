
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The page of atls_status.  Its script polls the metrics in JSON.
 *
 * A browser runs the script and uses the style sheet only if their hashes are
 * those of the Content-Security-Policy header.
 */


#ifndef _NGX_HTTP_ATLS_PAGE_H_INCLUDED_
#define _NGX_HTTP_ATLS_PAGE_H_INCLUDED_


#include "ngx_http_atls.h"


/* In objs/ngx_http_atls_page_parts.c, made of src/page by tools/page.sh. */

typedef enum {
    ngx_http_atls_page_head = 0,
    ngx_http_atls_page_style,
    ngx_http_atls_page_body,
    ngx_http_atls_page_script,
    ngx_http_atls_page_tail,

    ngx_http_atls_page_n
} ngx_http_atls_page_e;

extern ngx_str_t  ngx_http_atls_page_parts[ngx_http_atls_page_n];


/* Adds the headers of the page.  NULL: no memory. */

ngx_chain_t *ngx_http_atls_page(ngx_http_request_t *r, off_t *length);


#endif /* _NGX_HTTP_ATLS_PAGE_H_INCLUDED_ */
